"""TensorFlow's native library in processes of its own, with oneDNN switched on or off.

A crash there ends nothing here. A process serves until this one ends, and is replaced if it
crashes.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from nbhelpers.convert.native_worker import read_frame, write_frames

SWITCHES = (False, True) if sys.platform != "darwin" else (False,)
"""The states of oneDNN that TensorFlow's builds for this system have: those for macOS have none."""

SCRIPT = Path(__file__).with_name("native_worker.py")


class Worker:
    """A process that is started when it is first needed; see `native_worker` for its requests."""

    def __init__(self, *, onednn: bool, script: Path = SCRIPT) -> None:
        """Take the switch; nothing is started yet."""
        self.started = 0
        self._onednn, self._script = onednn, script
        self._lock = threading.Lock()
        self._owner, self._process = 0, None  # type: int, subprocess.Popen | None

    def start(self) -> subprocess.Popen:
        """Start the process, if it is not there; it comes up while other work is done."""
        process = self._process
        if process is None or self._owner != os.getpid() or process.poll() is not None:
            # -P keeps the folder of the worker, whose modules have common names, off the path.
            command = [sys.executable, "-P", str(self._script)]
            pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
            switch = {"TF_ENABLE_ONEDNN_OPTS": str(int(self._onednn))}
            process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=nowhere, env={**os.environ, **switch}
            )
            self._owner, self._process = os.getpid(), process
            self.started += 1
            atexit.register(_end, os.getpid(), process)
        return process

    def end(self) -> None:
        """End the process."""
        with self._lock:
            if self._process is not None:
                _end(self._owner, self._process)

    def ask(self, *request: "bytes | memoryview", timeout: float) -> tuple[str, bytes]:
        """Return what became of a request, in words ("ok"), and what came back."""
        with self._lock:
            return _asked(self.start(), request, timeout)


def _end(owner: int, worker: subprocess.Popen) -> None:
    """Let the worker end with the process that started it."""
    if os.getpid() == owner:
        with contextlib.suppress(BrokenPipeError), worker:  # which closes its pipes
            worker.kill()


def _asked(
    worker: subprocess.Popen, request: "tuple[bytes | memoryview, ...]", timeout: float
) -> tuple[str, bytes]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    hung = threading.Event()

    def give_up() -> None:
        hung.set()
        worker.kill()

    timer = threading.Timer(timeout, give_up)
    timer.start()
    try:
        write_frames(worker.stdin, *request)
        state, content = read_frame(worker.stdout), read_frame(worker.stdout)
        if state is not None and content is not None:
            return state.decode(), content
        code = worker.wait()
    except BrokenPipeError:  # it went away while it was being written to
        code = worker.wait()
    except BaseException:  # interrupted: its answer would be taken for that to the next request
        worker.kill()
        worker.wait()
        raise
    finally:
        timer.cancel()
    if hung.is_set():
        return f"gave no result in {timeout:g} s", b""
    return f"crashed ({signal.Signals(-code).name if code < 0 else f'status {code}'})", b""
