"""A process that serves requests, so that a crash or a hang there does not end this process.

It starts while other work continues, and is replaced if it dies. It ends after a while without a
request. It also ends with this process, even if this process is killed.
"""

import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphcore import worker_messages
from graphcore.processes import Program

IDLE = 600.0
"""Seconds without a request after which a process ends, to free its memory."""


class Failed(Exception):
    """The script raised an error. `kind` is the name of its class."""

    def __init__(self, kind: str, text: str) -> None:
        """Take the name of the error's class and its text."""
        super().__init__(text)
        self.kind = kind


class Ended(Exception):
    """The process ended before it answered. The text says how, in words that follow its name.

    `crash` is the signal or the status, or "". `late` is the time limit, if it was exceeded, or "".
    """

    def __init__(self, how: str, *, crash: str = "", late: str = "") -> None:
        """Take the words, and `crash` or `late`."""
        super().__init__(how)
        self.crash, self.late = crash, late

    def advice(self, otherwise: str) -> str:
        """Return advice: about memory if that ran out, or else the advice of the caller."""
        short = "memory" in self.crash
        return "Free memory, or feed smaller inputs" if short else otherwise


class WorkerProcess:
    """A script that answers requests in its own process. `worker_messages` describes its form."""

    def __init__(
        self,
        script: Path,
        *,
        variables: Mapping[str, str] | None = None,
        python: Path | str = sys.executable,
        idle: float = IDLE,
    ) -> None:
        """Take the script and its settings. Nothing is started.

        Args:
            script: answers the requests. It need not be a module that the process can import.
            variables: environment variables to set.
            python: the interpreter.
            idle: seconds without a request after which the process ends.
        """
        self.started = 0
        self._python = str(python)
        self._script, self._variables, self._idle = script, dict(variables or {}), idle
        self._lock = threading.Lock()
        self._owner, self._program, self._used = 0, None, 0.0  # type: int, Program | None, float

    def start(self) -> subprocess.Popen:
        """Start the process, if it is not running."""
        with self._lock:
            return self._running().process

    def end(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def ask(self, request: object, *, timeout: float) -> Any:
        """Return the answer to a request. Requests of several threads take turns.

        Args:
            request: any value that pickle takes.
            timeout: the seconds it may take on an otherwise idle machine.

        Raises:
            Failed: the script raised an error.
            Ended: the process crashed, or was killed because it took longer.
        """
        with self._lock:
            try:
                kind, value = _answer(self._running(), request, timeout)
            finally:
                self._used = time.monotonic()
        if kind:
            raise Failed(kind, value)
        return value

    def _running(self) -> Program:
        self._used = time.monotonic()
        program = self._program
        if program is None or self._owner != os.getpid() or program.process.poll() is not None:
            # -P keeps the folder of messages.py off the path: its modules have common names.
            command = [self._python, "-P", worker_messages.__file__, str(self._script)]
            pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
            environment = {**os.environ, **self._variables}
            program = Program(command, stdin=pipe, stdout=pipe, stderr=nowhere, env=environment)
            self._owner, self._program = os.getpid(), program
            self.started += 1
            look = threading.Thread(
                target=_end_if_idle, args=(weakref.ref(self), self.started), daemon=True
            )
            look.start()
        return program

    def _look(self, number: int) -> float:
        """End the process of that number if it is idle.

        Return the seconds until the next look.
        """
        with self._lock:
            if self.started != number or self._program is None:
                return 0.0
            left = self._used + self._idle - time.monotonic()
            if left <= 0:
                self._end()
            return max(left, 0.0)

    def _end(self) -> None:
        if self._program is not None:
            self._program.end()
        self._program = None


def _end_if_idle(reference: "weakref.ref[WorkerProcess]", number: int) -> None:
    """Look at a worker until its process of that number has ended, without keeping either alive."""
    while (worker := reference()) is not None and (left := worker._look(number)):
        del worker
        time.sleep(left)


def _answer(program: Program, request: object, timeout: float) -> tuple[str, Any]:
    process = program.process
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with program.watched(timeout):
            answer = worker_messages.ask(process.stdin, process.stdout, request)
        if answer is not None:
            return answer
    except BrokenPipeError:  # the process died while we wrote to it
        pass
    except BaseException:  # after an interruption, the next request would read this late answer
        program.end()
        raise
    process.wait()
    if program.late:
        raise Ended(f"gave no result in {program.late}", late=program.late)
    raise Ended(f"crashed ({program.crash})", crash=program.crash)
