"""Other programs: each in a process group of its own, with a limit, and watched while it runs.

One that hangs, crashes or takes too much memory ends alone, with all that it had started, and says
in words how it ended.
"""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from graphcore.machine import GB, free_memory, killed_for_memory, usage
from graphcore.patience import Patience
from graphcore.progress import stage

LOOKS = (0.05, 0.25)
"""Seconds before the first look at a program, and between two."""

HEAVY = 0.5
"""A program is heavy that needs more than this share of the free memory: one at a time."""

_OUT_OF_MEMORY = re.compile(r"MemoryError|bad_alloc|[Oo]ut of memory|Cannot allocate|OOM")


class Program:
    """A program that was started; its group ends with `end`."""

    def __init__(self, command: Sequence[str | Path], **options: Any) -> None:
        """Start it; `options` are those of `subprocess.Popen`."""
        self.peak = 0
        """The most bytes of memory that it was seen to use, with all that it had started."""
        self.late = ""
        """How long it was waited for, in words, if it was ended for that."""
        self._killed = killed_for_memory()
        self.process = subprocess.Popen(
            [str(word) for word in command], start_new_session=True, **options
        )

    @contextlib.contextmanager
    def watched(self, limit: float) -> Iterator[None]:
        """Look at the program, and end it when `limit` seconds are used up (see `patience`)."""
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(limit, done), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def end(self) -> None:
        """End the program and all that it had started, if they still run."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.process.wait()

    def ending(self, said: str = "") -> str:
        """Return how the program ended, in words that follow its name; "" if all was well.

        Args:
            said: the last line that it printed.
        """
        status = self.process.wait()
        if self.late:
            return f"gave no answer in {self.late}"
        if status < 0:
            return f"crashed ({self.crash})"
        if not status:
            return ""
        used = f" (it had used {self._used})" if _OUT_OF_MEMORY.search(said) else ""
        return f"ended with status {status}: {said or 'it said nothing'}{used}"

    @property
    def crash(self) -> str:
        """What ended the program, in a few words: a signal, or its status."""
        status = self.process.wait()
        if status >= 0:
            return f"status {status}"
        name = signal.Signals(-status).name
        if name != "SIGKILL":
            return name
        sure = killed_for_memory() > self._killed
        why = "because memory ran out" if sure else "as it does when memory runs out"
        return f"{name}: the system ended it, {why}; it had used {self._used}"

    @property
    def _used(self) -> str:
        return f"{self.peak / GB:.1f} GB of memory"

    def _watch(self, limit: float, done: threading.Event) -> None:
        if done.wait(LOOKS[0]):  # most answers are quick, and a look is not
            return
        patience = Patience(limit, computed=self._look())
        while not done.wait(LOOKS[1]):
            if patience.is_over(self._look()):
                self.late = f"{limit:g} s"
                self.end()
                return

    def _look(self) -> float:
        """Note the memory that is used now; return the processor seconds."""
        seen = usage(self.process.pid)
        self.peak = max(self.peak, seen.memory)
        return seen.seconds


@dataclass(frozen=True)
class Done:
    """A program that has ended: how ("" if well), what it printed, and the memory that it used."""

    ending: str
    output: str
    peak: int

    @property
    def last_line(self) -> str:
        """The last line that it printed."""
        return last_line(self.output)


def run(
    command: Sequence[str | Path],
    *,
    limit: float,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    needs: int = 0,
    what: str = "",
) -> Done:
    """Run a program to its end.

    Args:
        command: the program and its arguments.
        limit: seconds that it may take on a machine that has nothing else to do.
        env: its environment variables; those of this process if left out.
        cwd: the directory that it starts in.
        needs: the bytes of memory that it needs, as far as that is known. One that needs much waits
            until no other such program runs, and a warning says if so much is not free.
        what: the program, as that warning calls it; its file's name if left out.

    Raises:
        OSError: it cannot be started.
    """
    with tempfile.TemporaryFile() as said, turn(needs, what or Path(command[0]).name):
        options = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": subprocess.STDOUT}
        program = Program(command, env=env, cwd=cwd, **options)
        try:
            with program.watched(limit):
                program.process.wait()
        finally:
            program.end()
        said.seek(0)
        output = said.read().decode(errors="replace")
    return Done(program.ending(last_line(output)), output, program.peak)


@contextlib.contextmanager
def turn(needs: int, what: str) -> Iterator[None]:
    """Wait until no other heavy program of this machine runs, if this is one; warn before it runs.

    Args:
        needs: the bytes of memory that are needed.
        what: the program, as the warning calls it.
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
                f"{what} needs about {needs / GB:.1f} GB of memory, and {free / GB:.1f} are free: "
                "the system may end it. Close other programs if it does.",
                stacklevel=3,
            )
        yield
    finally:
        lock.release()


def last_line(text: str) -> str:
    """Return the last line of a text that holds something, "" if there is none."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _lock_file() -> Path:
    user = getattr(os, "getuid", lambda: "")()
    return Path(tempfile.gettempdir()) / f"nbhelpers-heavy-{user}.lock"
