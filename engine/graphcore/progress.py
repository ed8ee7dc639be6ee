"""Any long step shows its progress: on a terminal, or in the view that `show_in` registers.

The line appears after two seconds and disappears with the stage. A run without a viewer (papermill,
a script in a pipe) shows nothing and leaves nothing. `make handoff` is a viewer: its kernels write
the stage into the file named by `NBHELPERS_PROGRESS`.
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
"""Seconds before a stage is shown."""

EVERY = 0.5
"""Seconds between two updates."""

FILE = "NBHELPERS_PROGRESS"
"""The environment variable that names a file for the stage. The watching process sets it."""


@dataclass
class Stage:
    """A running stage and its progress: `done` of `total`, which is None if it is not known."""

    title: str
    total: int | None = None
    done: int = 0

    def reached(self, done: int, total: int | None = None) -> None:
        """Note how many parts are done, and how many there are."""
        self.done, self.total = done, self.total if total is None else total

    def __str__(self) -> str:
        """Return the title, and the progress if it is known."""
        return f"{self.title} {self.done}/{self.total}" if self.total else self.title


_stack: list[Stage] = []
"""The running stages, each inside the one before it."""

_makers: "list[Callable[[], View | None]]" = []
"""Functions that make other views (see `show_in`)."""


@contextmanager
def stage(title: str, total: int | None = None) -> Iterator[Stage]:
    """Name the current step. Inside another stage it is a part of that stage.

    Args:
        title: such as "simplifying".
        total: the number of parts, if you count them with `Stage.reached`.
    """
    view = _view() if not _stack else None
    _stack.append(Stage(title, total))
    stop = threading.Event()
    ticker = None
    if view is not None:
        arguments = (view, stop, time.monotonic())
        # A copy of the context lets the output of a thread find its notebook cell.
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
    """A place that shows the line."""

    def show(self, words: str, seconds: float, share: float | None) -> None:
        """Show or update the line.

        Args:
            words: the stages and their progress.
            seconds: the time so far.
            share: the part that is done, 0 to 1, or None if it is not known.
        """

    def clear(self) -> None:
        """Remove the line, if there is one."""


def show_in(make: Callable[[], View | None]) -> None:
    """Register a function that makes a view, such as a notebook cell's. It may return None."""
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
    """Return a view that is seen, or None."""
    if os.environ.get(FILE):
        return _File(Path(os.environ[FILE]))
    for make in _makers:
        if (view := make()) is not None:
            return view
    stream = sys.stderr
    return _Line(stream) if stream is not None and stream.isatty() else None


class _Line:
    """One line of a terminal, overwritten at each update."""

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
    """A file that another process reads. A failure to write it must not stop the work."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def show(self, words: str, seconds: float, share: float | None) -> None:
        with contextlib.suppress(OSError):
            self._path.write_text(words, encoding="utf-8")

    def clear(self) -> None:
        with contextlib.suppress(OSError):
            self._path.write_text("", encoding="utf-8")


def line(words: str, seconds: float) -> str:
    """Return the text of a view: the words of the stages, and the time so far."""
    return f"{words} · {seconds:.0f} s"
