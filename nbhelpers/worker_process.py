"""A process that serves requests: what crashes or hangs there ends nothing here.

It comes up while other work is done, serves until this process ends, and is replaced if it ended.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

Answer = TypeVar("Answer")


class Ended(Exception):
    """The process ended before it answered; `crash` says how, None if it was too slow."""

    def __init__(self, crash: str | None) -> None:
        """Take the name of a signal, or a status."""
        super().__init__(crash or "it was too slow")
        self.crash = crash


class WorkerProcess:
    """A script in a process of its own, whose standard input and output carry what is asked."""

    def __init__(
        self,
        script: Path,
        *,
        variables: Mapping[str, str] | None = None,
        python: Path | str = sys.executable,
    ) -> None:
        """Take the script, environment variables to set, and who runs it; nothing is started."""
        self.started = 0
        self._python = str(python)
        self._script, self._variables = script, dict(variables or {})
        self._lock = threading.Lock()
        self._owner, self._process = 0, None  # type: int, subprocess.Popen | None

    def start(self) -> subprocess.Popen:
        """Start the process, if it is not there."""
        process = self._process
        if process is None or self._owner != os.getpid() or process.poll() is not None:
            # -P keeps the folder of the script, whose modules have common names, off the path.
            command = [self._python, "-P", str(self._script)]
            pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
            environment = {**os.environ, **self._variables}
            process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=nowhere, env=environment
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

    def exchange(
        self, talk: Callable[[subprocess.Popen], Answer | None], *, timeout: float
    ) -> Answer:
        """Return the answer to one request; requests of several threads take turns.

        Args:
            talk: sends the request to the process and returns its answer, None if it has gone.
            timeout: seconds that it may take.

        Raises:
            Ended: the process crashed, or was ended because it took longer.
        """
        with self._lock:
            return _exchanged(self.start(), talk, timeout)


def _end(owner: int, process: subprocess.Popen) -> None:
    """Let the process end with the one that started it."""
    if os.getpid() == owner:
        with contextlib.suppress(BrokenPipeError), process:  # which closes its pipes
            process.kill()


def _exchanged(
    process: subprocess.Popen, talk: Callable[[subprocess.Popen], Answer | None], timeout: float
) -> Answer:
    hung = threading.Event()

    def give_up() -> None:
        hung.set()
        process.kill()

    timer = threading.Timer(timeout, give_up)
    timer.daemon = True
    timer.start()
    try:
        answer = talk(process)
        if answer is not None:
            return answer
        code = process.wait()
    except BrokenPipeError:  # it went away while it was being written to
        code = process.wait()
    except BaseException:  # interrupted: its answer would be taken for that to the next request
        process.kill()
        process.wait()
        raise
    finally:
        timer.cancel()
    if hung.is_set():
        raise Ended(None)
    raise Ended(signal.Signals(-code).name if code < 0 else f"status {code}")
