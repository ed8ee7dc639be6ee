"""A process that serves requests: what crashes or hangs there ends nothing here.

It comes up while other work is done, serves until this process ends, and is replaced if it ended.
"""

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from graphcore.processes import Program

Answer = TypeVar("Answer")


class Ended(Exception):
    """The process ended before it answered; `crash` says how, None if it was too slow."""

    def __init__(self, crash: str | None) -> None:
        """Take what ended it: a signal or a status, and why if that is known."""
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
        self._owner, self._program = 0, None  # type: int, Program | None

    def start(self) -> subprocess.Popen:
        """Start the process, if it is not there."""
        return self._running().process

    def end(self) -> None:
        """End the process."""
        with self._lock:
            if self._program is not None:
                _end(self._owner, self._program)

    def exchange(
        self, talk: Callable[[subprocess.Popen], Answer | None], *, timeout: float
    ) -> Answer:
        """Return the answer to one request; requests of several threads take turns.

        Args:
            talk: sends the request to the process and returns its answer, None if it has gone.
            timeout: seconds that it may take on a machine that has nothing else to do.

        Raises:
            Ended: the process crashed, or was ended because it took longer.
        """
        with self._lock:
            return _exchanged(self._running(), talk, timeout)

    def _running(self) -> Program:
        program = self._program
        if program is None or self._owner != os.getpid() or program.process.poll() is not None:
            # -P keeps the folder of the script, whose modules have common names, off the path.
            command = [self._python, "-P", str(self._script)]
            pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
            environment = {**os.environ, **self._variables}
            program = Program(command, stdin=pipe, stdout=pipe, stderr=nowhere, env=environment)
            self._owner, self._program = os.getpid(), program
            self.started += 1
            atexit.register(_end, os.getpid(), program)
        return program


def _end(owner: int, program: Program) -> None:
    """Let the process end with the one that started it."""
    if os.getpid() == owner:
        with contextlib.suppress(BrokenPipeError), program.process:  # which closes its pipes
            program.end()


def _exchanged(
    program: Program, talk: Callable[[subprocess.Popen], Answer | None], timeout: float
) -> Answer:
    try:
        with program.watched(timeout):
            answer = talk(program.process)
        if answer is not None:
            return answer
    except BrokenPipeError:  # it went away while it was being written to
        pass
    except BaseException:  # interrupted: its answer would be taken for that to the next request
        program.end()
        raise
    program.process.wait()
    raise Ended(None if program.late else program.crash)
