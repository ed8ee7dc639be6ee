"""The progress of the run: one line for each notebook, with a live count of cells on a terminal.

Without a terminal, each part of a long stage, such as an epoch of training, has a line.
"""

import re
import time
from typing import TextIO

from nbhelpers.workbook.plan import Notebook, Settings

_EVERY = 5.0
"""Seconds between two lines about a stage, without a terminal."""

_COUNTED = re.compile(r" \d+/\d+")


class Progress:
    """Writes to a stream. On a terminal it rewrites the line of the running notebook in place."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._live = stream.isatty()
        self._head = ""
        self._total = 0
        self._said, self._said_at = "", 0.0
        self.reached = 0

    def begun(self, settings: Settings) -> None:
        """Print the settings of the handoff."""
        checkpoint = f"  checkpoint {settings.checkpoint}" if settings.checkpoint else ""
        self._stream.write(
            f"{settings.name}: model {settings.model}{checkpoint}  targets {settings.targets}\n"
        )

    def started(self, notebook: Notebook) -> None:
        """Print that `notebook` begins."""
        self._head = f"{notebook.title:<16} {notebook.kernel:<8}"
        self._total = self.reached = 0
        self._say("starting" if self._live else "running", last=not self._live)

    def cell(self, number: int, total: int) -> None:
        """Print that code cell `number` of `total` begins."""
        self.reached, self._total = number, total
        if self._live:
            self._say(self._cell, last=False)

    def stage(self, words: str) -> None:
        """Print the cell's current step, such as "training on digits: epoch 3/10", or nothing
        ("")."""
        if self._live:
            self._say(f"{self._cell} · {words}" if words else self._cell, last=False)
        elif _COUNTED.search(words) and words != self._said and self._rested():
            self._said, self._said_at = words, time.monotonic()
            self._say(words, last=True)

    def done(self, seconds: float) -> None:
        """Print that the notebook has finished."""
        self._say(f"done     {self._total:>3} cells {seconds:>7.1f} s", last=True)

    def failed(self) -> None:
        """Print that the notebook has stopped at an error."""
        self._say(f"stopped  at cell {self.reached} of {self._total}", last=True)

    def kept(self, notebook: Notebook) -> None:
        """Print that `notebook` is up to date, because nothing that it depends on has changed."""
        self._head = f"{notebook.title:<16} {notebook.kernel:<8}"
        self._say("up to date", last=True)

    def said(self, sentence: str) -> None:
        """Print a sentence about the next notebook."""
        self._stream.write(f"{sentence}\n")

    def _rested(self) -> bool:
        return time.monotonic() - self._said_at >= _EVERY

    @property
    def _cell(self) -> str:
        return f"cell {self.reached} of {self._total}"

    def _say(self, text: str, *, last: bool) -> None:
        line = f"{self._head} {text}"
        if self._live:
            line = f"\r\x1b[K{line}"
        self._stream.write(line + ("\n" if last else ""))
        self._stream.flush()
