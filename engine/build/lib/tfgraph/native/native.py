"""TensorFlow's native library in processes of its own, with oneDNN switched on or off."""

import subprocess
import sys
from pathlib import Path

from graphcore.worker_process import Ended, WorkerProcess
from tfgraph import compat
from tfgraph.native.native_worker import read_frame, write_frames

SWITCHES = (False, True) if sys.platform != "darwin" else (False,)
"""The states of oneDNN that TensorFlow's builds for this system have: those for macOS have none."""


def onednn() -> bool:
    """Whether this process's TensorFlow uses oneDNN."""
    compat.tensorflow()
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())


SCRIPT = Path(__file__).with_name("native_worker.py")


class Worker(WorkerProcess):
    """A process that is started when it is first needed; see `native_worker` for its requests."""

    def __init__(self, *, onednn: bool, script: Path = SCRIPT) -> None:
        """Take the switch; nothing is started yet."""
        super().__init__(script, variables={"TF_ENABLE_ONEDNN_OPTS": str(int(onednn))})

    def ask(self, *request: "bytes | memoryview", timeout: float) -> tuple[str, bytes]:
        """Return what became of a request, in words ("ok"), and what came back."""

        def talk(process: subprocess.Popen) -> tuple[str, bytes] | None:
            assert process.stdin is not None
            assert process.stdout is not None
            write_frames(process.stdin, *request)
            state, content = read_frame(process.stdout), read_frame(process.stdout)
            return None if state is None or content is None else (state.decode(), content)

        try:
            return self.exchange(talk, timeout=timeout)
        except Ended as end:
            how = f"crashed ({end.crash})" if end.crash else f"gave no result in {timeout:g} s"
            return how, b""
