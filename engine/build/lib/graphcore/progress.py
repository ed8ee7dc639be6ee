"""Stages that take long say so, where somebody looks: on a terminal, or where `show_in` says.

The line comes after two seconds and goes with the stage. Nothing is shown in a run that nobody
watches (papermill, a script in a pipe), and nothing is ever left behind. `make handoff` watches:
its kernels write the stage into the file that `NBHELPERS_PROGRESS` names.
"""

import contextlib
import contextvars
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

AFTER = 2.0
"""Seconds that a stage may take without a word."""

EVERY = 0.5
"""Seconds between two looks."""

FILE = "NBHELPERS_PROGRESS"
"""The variable that names a file for the stage; a watcher sets it for the process it watches."""


@dataclass
class Stage:
    """A stage that runs, and how far it is: `done` of `total` (None if that is not known)."""

    title: str
    total: int | None = None
    done: int = 0

    def reached(self, done: int, total: int | None = None) -> None:
        """Note how much is done, and of how much."""
        self.done, self.total = done, self.total if total is None else total

    def __str__(self) -> str:
        """Return the title, and how far the stage is if that is known."""
        return f"{self.title} {self.done}/{self.total}" if self.total else self.title


_stack: list[Stage] = []
"""The stages that run, each inside the one before it."""

_makers: "list[Callable[[], View | None]]" = []
"""What else makes views; see `show_in`."""


@contextmanager
def stage(title: str, total: int | None = None) -> Iterator[Stage]:
    """Name what is being done; inside another stage, a part of it.

    Args:
        title: such as "simplifying".
        total: how many parts there are, for those who count them with `Stage.reached`.
    """
    view = _view() if not _stack else None
    _stack.append(Stage(title, total))
    stop = threading.Event()
    ticker = None
    if view is not None:
        arguments = (view, stop, time.monotonic())
        # In its own copy of the context, so that a cell's output finds its way to the cell.
        target = contextvars.copy_context().run
        ticker = threading.Thread(target=target, args=(_tick, *arguments), daemon=True)
        ticker.start()
    try:
        yield _stack[-1]
    finally:
        _stack.pop()
        stop.set()
        if ticker is not None:
            ticker.join()


class View(Protocol):
    """Where the line is shown."""

    def show(self, words: str, seconds: float, share: float | None) -> None:
        """Show the line, for the first time or again.

        Args:
            words: the stages, and how far they are.
            seconds: how long it has taken.
            share: how much is done, 0 to 1; None if that is not known.
        """

    def clear(self) -> None:
        """Take the line away, if there is one."""


def show_in(make: Callable[[], View | None]) -> None:
    """Ask `make` first for where stages are shown, such as a notebook's cell; None is nowhere."""
    if make not in _makers:
        _makers.append(make)


def _tick(view: View, stop: threading.Event, begin: float) -> None:
    pause = AFTER
    while not stop.wait(pause):
        stages = list(_stack)
        words = " · ".join(map(str, stages))
        counted = [each.done / each.total for each in stages if each.total]
        view.show(words, time.monotonic() - begin, counted[-1] if counted else None)
        pause = EVERY
    view.clear()


def _view() -> View | None:
    """Return where somebody looks, if anybody does."""
    if os.environ.get(FILE):
        return _File(Path(os.environ[FILE]))
    for make in _makers:
        if (view := make()) is not None:
            return view
    stream = sys.stderr
    return _Line(stream) if stream is not None and stream.isatty() else None


class _Line:
    """A line of a terminal, written over and over."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._shown = False

    def show(self, words: str, seconds: float, share: float | None) -> None:
        self._shown = True
        self._stream.write(f"\r\x1b[K{line(words, seconds)}")
        self._stream.flush()

    def clear(self) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


class _File:
    """A file that another process reads; a run must not end because it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def show(self, words: str, seconds: float, share: float | None) -> None:
        with contextlib.suppress(OSError):
            self._path.write_text(words, encoding="utf-8")

    def clear(self) -> None:
        with contextlib.suppress(OSError):
            self._path.write_text("", encoding="utf-8")


def line(words: str, seconds: float) -> str:
    """Return what a view says of stages: their words, and how long it has taken."""
    return f"{words} · {seconds:.0f} s"
