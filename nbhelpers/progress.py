"""Long steps show their progress below the running cell (see `graphcore.progress`)."""

import html
import os
import sys
from typing import Any

from graphcore.progress import *  # noqa: F403
from graphcore.progress import View, line, show_in


def in_jupyterlab() -> bool:
    """Whether this runs in JupyterLab, whose server sets this variable for its kernels."""
    return "JPY_SESSION_NAME" in os.environ


def show_in_cells() -> None:
    """Show the progress of long steps below the running cell, in JupyterLab."""
    show_in(_cell)


def _cell() -> View | None:
    return _Cell() if in_jupyterlab() and "IPython" in sys.modules else None


class _Cell:
    """A progress bar below the running cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, words: str, seconds: float, share: float | None) -> None:
        from IPython.display import HTML, display

        value = "" if share is None else f' value="{share:.3f}"'
        label = html.escape(line(words, seconds))
        bar = HTML(f"<label><progress{value}></progress> {label}</label>")
        if self._handle is None:
            self._handle = display(bar, display_id=True)
        else:
            self._handle.update(bar)

    def clear(self) -> None:
        from IPython.display import HTML

        if self._handle is not None:
            self._handle.update(HTML(""))
