"""The result of a cell: widgets in JupyterLab, and the same as a table or picture elsewhere.

A notebook that runs headless makes no widget at all, so no message waits for a missing browser. No
widget here captures output (`Output`, `interact`), because those stall headless runs.
"""

import html
from collections.abc import Callable
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

import ipywidgets
from IPython.core.getipython import get_ipython

from graphcore.errors import Refusal
from nbhelpers.progress import in_jupyterlab

STYLE = """<style>
.nbh-mono select, .nbh-mono textarea, .nbh-mono input {
  font-family: var(--jp-code-font-family, monospace); font-size: 12px; }
.nbh-pre pre { font-family: var(--jp-code-font-family, monospace) !important;
  font-size: 12px !important; line-height: 1.35; margin: 0; white-space: pre-wrap;
  word-break: normal; overflow-wrap: anywhere; color: var(--jp-content-font-color1); }
.nbh-head pre { white-space: pre; overflow: hidden; padding-left: 3px; }
.nbh-pre .widget-html-content { overflow-wrap: anywhere; }
.nbh table { border-collapse: collapse; margin: 6px 0; }
.nbh caption { text-align: left; font-weight: bold; }
.nbh th, .nbh td { padding: 2px 16px 2px 0; line-height: 1.4; vertical-align: top; }
</style>"""
"""A fixed-width font for rows and code, and space in tables. The theme chooses the colours."""


class Panel(Protocol):
    """Widgets that belong together. `box` is displayed."""

    box: ipywidgets.Box


PanelT = TypeVar("PanelT", bound=Panel)


class Shown(Generic[PanelT]):
    """A panel of widgets in JupyterLab, and `static` wherever nobody can click."""

    def __init__(self, static: Any, make: Callable[[], PanelT]) -> None:
        """Hold the static view, and the function that makes the widgets."""
        self.static = static
        self._make = make

    @cached_property
    def panel(self) -> PanelT:
        """The widgets, made at the first use."""
        return self._make()

    def __repr__(self) -> str:
        return repr(self.static)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        formatter = getattr(get_ipython(), "display_formatter", None)
        bundle = dict(formatter.format(self.static)[0]) if formatter else {}
        bundle.setdefault("text/plain", repr(self.static))
        if in_jupyterlab():
            view = self.panel.box._repr_mimebundle_()
            bundle.update({kind: view[kind] for kind in view if kind != "text/plain"})
        return bundle


class Handlers:
    """Calls functions when a value changes. A change made by such a call triggers no further
    call."""

    def __init__(self) -> None:
        """Start without any function to call."""
        self._busy = False

    def on_change(self, call: Callable[[Any], object], *widgets: ipywidgets.Widget) -> None:
        """Call the function with the new value when a user changes one of the widgets."""
        for each in widgets:
            each.observe(lambda change: self.run(lambda: call(change.new)), "value")

    def run(self, call: Callable[[], object]) -> None:
        """Call the function, unless another such call is running."""
        if self._busy:
            return
        self._busy = True
        try:
            call()
        finally:
            self._busy = False


def text_block(text: str) -> str:
    """Return a text as HTML that keeps its lines, with everything escaped."""
    return f"<pre>{html.escape(text)}</pre>"


def said(message: object) -> str:
    """Return a refusal as highlighted HTML, or "" if there is none."""
    text = html.escape(str(message))
    return f"<span role='alert' style='color:var(--jp-error-color1)'>{text}</span>" if text else ""


def answer(place: ipywidgets.HTML, step: Callable[[], str]) -> None:
    """Show the HTML that a step returns, or its refusal. Any other error is also raised."""
    place.value = "working …"
    try:
        place.value = step()
    except Refusal as error:
        place.value = said(error)
    except BaseException as error:
        place.value = said(f"This failed with {type(error).__name__}: {error}")
        raise


def stacked(*children: ipywidgets.Widget) -> ipywidgets.VBox:
    """Return widgets below each other, in the style of this package."""
    box = ipywidgets.VBox([ipywidgets.HTML(STYLE), *children])
    box.add_class("nbh")
    return box
