"""TensorFlow's native library in processes of its own, with oneDNN switched on or off."""

import sys
from pathlib import Path

from graphcore.worker_process import WorkerProcess
from tfgraph import framework

SWITCHES = (False, True) if sys.platform != "darwin" else (False,)
"""The states of oneDNN that TensorFlow's builds for this system have: those for macOS have none."""


def onednn() -> bool:
    """Whether this process's TensorFlow uses oneDNN."""
    framework.tensorflow()
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())


SCRIPT = Path(__file__).with_name("native_worker.py")


class Worker(WorkerProcess):
    """A process that is started when it is first needed; see `native_worker` for its requests."""

    def __init__(self, *, onednn: bool, script: Path = SCRIPT) -> None:
        """Take the switch; nothing is started yet."""
        super().__init__(script, variables={"TF_ENABLE_ONEDNN_OPTS": str(int(onednn))})
