"""Other programs: each runs in its own process group, with a time limit, and is watched.

A program that hangs, crashes or takes too much memory is killed with all its descendants, and no
other process is. The result says in words how it ended. No program outlives this process.
"""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from filelock import FileLock

from graphcore.machine import GB, free_memory, killed_for_memory, usage
from graphcore.process_group import ProcessGroup
from graphcore.progress import stage
from graphcore.time_limits import Patience

LOOKS = (0.05, 0.25)
"""Seconds before the first look at a program, and between two later looks."""

HEAVY = 0.5
"""A program is heavy if it needs more than this share of the free memory. One runs at a time."""

_OUT_OF_MEMORY = re.compile(r"MemoryError|bad_alloc|[Oo]ut of memory|Cannot allocate|OOM")


Progress: TypeAlias = Callable[[], object]


class Program:
    """A program that was started. Its process group ends with `end`, or with this process."""

    def __init__(self, command: Sequence[str | Path], **options: Any) -> None:
        """Start the program. `options` are those of `subprocess.Popen`."""
        self.peak = 0
        """The most memory it was seen to use, with all its descendants, in bytes."""
        self.late = ""
        """The time limit in words, if the program was killed for exceeding it."""
        self._killed = killed_for_memory()
        self._group = ProcessGroup([str(word) for word in command], **options)
        self.process = self._group.process
        weakref.finalize(self, self._group.release)

    @contextlib.contextmanager
    def watched(self, limit: float, progress: Progress = lambda: None) -> Iterator[None]:
        """Watch the program, and kill it when `limit` seconds are used up (see `time_limits`).

        The limit starts again whenever `progress` returns something else.
        """
        done = threading.Event()
        arguments = Patience(limit), progress, done
        watcher = threading.Thread(target=self._watch, args=arguments, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def end(self) -> None:
        """Kill the program and all its descendants, if they are still running."""
        self._group.end()

    def ending(self, said: str = "") -> str:
        """Return in words how the program ended, or "" for success.

        The words follow the program's name.

        Args:
            said: the last line it printed.
        """
        status = self.process.wait()
        if self.late:
            return f"gave no answer in {self.late}"
        if status < 0:
            return f"crashed ({self.crash})"
        if not status:
            return ""
        used = f" (it had used {self._used})" if _OUT_OF_MEMORY.search(said) else ""
        return f"ended with status {status}: {said or 'it printed nothing'}{used}"

    @property
    def crash(self) -> str:
        """The cause of the program's end in a few words: a signal, or its status."""
        status = self.process.wait()
        if status >= 0:
            return f"status {status}"
        name = signal.Signals(-status).name
        if name != "SIGKILL":
            return name
        sure = killed_for_memory() > self._killed
        why = "because memory ran out" if sure else "as it does when memory runs out"
        return f"{name}: the system killed it, {why}, when it had used {self._used}"

    @property
    def _used(self) -> str:
        return f"{self.peak / GB:.1f} GB of memory"

    def _watch(self, patience: Patience, progress: Progress, done: threading.Event) -> None:
        if done.wait(LOOKS[0]):  # most programs end quickly, and measuring takes time
            return
        patience.moved(self._look())
        reached = progress()
        while not done.wait(LOOKS[1]):
            if (now := progress()) != reached:
                reached = now
                patience.moved(self._look())
            elif patience.is_over(self._look()):
                self.late = f"{patience.limit:g} s"
                self.end()
                return

    def _look(self) -> float:
        """Note the memory that is in use, and return the processor seconds so far."""
        seen = usage(self.process.pid)
        self.peak = max(self.peak, seen.memory)
        return seen.seconds


@dataclass(frozen=True)
class Done:
    """A program that has ended.

    It holds how it ended ("" for success), what it printed, its peak memory, and whether it was
    killed for exceeding its time limit.
    """

    ending: str
    output: str
    peak: int
    late: str

    @property
    def last_line(self) -> str:
        """The last line it printed."""
        return last_line(self.output)


def run(
    command: Sequence[str | Path],
    *,
    limit: float,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    needs: int = 0,
    what: str = "",
    progress: Progress = lambda: None,
) -> Done:
    """Run a program to its end.

    Args:
        command: the program and its arguments.
        limit: the seconds it may take on an otherwise idle machine.
        env: its environment variables. The default is this process's own.
        cwd: its working directory.
        needs: the bytes of memory it needs, as far as they are known. A heavy program waits until
            no other heavy program runs. A warning says if less memory is free than it needs.
        what: the name of the program in that warning. The default is its file's name.
        progress: the limit starts again whenever it returns something else.

    Raises:
        OSError: the program cannot be started.
    """
    with tempfile.TemporaryFile() as said, turn(needs, what or Path(command[0]).name):
        options = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": subprocess.STDOUT}
        program = Program(command, env=env, cwd=cwd, **options)
        try:
            with program.watched(limit, progress):
                program.process.wait()
        finally:
            program.end()
        said.seek(0)
        output = said.read().decode(errors="replace")
    return Done(program.ending(last_line(output)), output, program.peak, program.late)


@contextlib.contextmanager
def turn(needs: int, what: str) -> Iterator[None]:
    """Wait until no other heavy program runs, if this one is heavy, and warn if memory is short.

    Args:
        needs: the bytes of memory it needs.
        what: the name of the program in the warning.
    """
    if needs <= HEAVY * free_memory():
        yield
        return
    lock = FileLock(_lock_file())
    with stage("waiting for memory: another heavy program runs"):
        lock.acquire()
    try:
        free = free_memory()
        if needs > free:
            warnings.warn(
                f"{what} needs about {needs / GB:.1f} GB of memory, but only {free / GB:.1f} GB "
                "are free, so the system may kill it. Close other programs if it does.",
                stacklevel=3,
            )
        yield
    finally:
        lock.release()


def last_line(text: str) -> str:
    """Return the last line of a text that is not blank, or ""."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _lock_file() -> Path:
    user = getattr(os, "getuid", lambda: "")()
    return Path(tempfile.gettempdir()) / f"nbhelpers-heavy-{user}.lock"
