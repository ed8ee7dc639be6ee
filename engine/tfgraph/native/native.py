"""TensorFlow's native library in separate processes, with oneDNN switched on or off."""

import sys
from pathlib import Path

from graphcore.worker_process import WorkerProcess
from tfgraph import framework

SWITCHES = (False, True) if sys.platform != "darwin" else (False,)
"""The states of oneDNN in TensorFlow's builds for this system. Builds for macOS have no oneDNN."""


def onednn() -> bool:
    """Whether this process's TensorFlow uses oneDNN."""
    framework.tensorflow()
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())


SCRIPT = Path(__file__).with_name("native_worker.py")


class Worker(WorkerProcess):
    """A process that starts when it is first needed. Its requests are in `native_worker`."""

    def __init__(self, *, onednn: bool, script: Path = SCRIPT) -> None:
        """Take the oneDNN switch, but start nothing yet."""
        super().__init__(script, variables={"TF_ENABLE_ONEDNN_OPTS": str(int(onednn))})
