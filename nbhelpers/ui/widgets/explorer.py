"""A searchable, sortable table of the tensors of any graph. Click a tensor to compute its value.

The search runs in the kernel and sends one page of rows, so a graph of 20,000 nodes is as quick as
a small one. The calls behind it are `GraphView.find` and `run_view`.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np

from graphcore.errors import Refusal
from nbhelpers.ui.values import value_line, value_picture
from nbhelpers.ui.widgets.display import Handlers, Shown, answer, said, stacked, text_block
from nbhelpers.ui.widgets.search import (
    ORDERS,
    WIDTHS,
    found_tensors,
    row_text,
    shape_text,
    tensor_table,
)

if TYPE_CHECKING:
    from tfgraph.comparing.tensor_map import Twin
    from tfgraph.graphs.graphdef import GraphView, TensorInfo

PAGE = 25
"""Rows on a page."""

NEIGHBOURS = 200
"""The most neighbours listed, because thousands of nodes may read one constant."""


def tensor_explorer(
    view: "GraphView",
    *,
    twins: Iterable["Twin"] = (),
    feeds: Mapping[str, np.ndarray] | None = None,
    name: str = "",
    op: str = "",
    shape: str = "",
) -> Shown["Explorer"]:
    """Return a table of the tensors of a graph, to search and to click through.

    Args:
        view: the graph: a frozen one, or that of a SavedModel (`open_graph`).
        twins: the ONNX tensor of each tensor, if known.
        feeds: input tensor name to array, to compute the value of a picked tensor.
        name: the first search, a regular expression for a part of the name.
        op: the op that makes the tensor, or empty for any.
        shape: sizes such as "?,7,7,64", where ? is any size, or empty for any shape.
    """
    known = {twin.tensor: twin for twin in twins}
    first = found_tensors(view, name, op, shape)
    shown = f"{len(first)} of {len(view.tensors)} tensors, the first {min(10, len(first))}"
    static = tensor_table(first[:10], known, shown)
    return Shown(static, lambda: Explorer(view, known, feeds or {}, (name, op, shape)))


class Explorer:
    """The widgets of `tensor_explorer`. `picked` is the tensor that was clicked."""

    def __init__(
        self,
        view: "GraphView",
        twins: Mapping[str, "Twin"],
        feeds: Mapping[str, np.ndarray],
        first: tuple[str, str, str],
    ) -> None:
        """Make the widgets and show the first page of the search `first` (name, op, shape)."""
        self._view, self._twins, self._feeds = view, twins, feeds
        self.found: tuple[TensorInfo, ...] = ()
        ops = sorted({tensor.op for tensor in view.tensors.values()})
        self.name = ipywidgets.Text(first[0], placeholder="part of a name", description="name")
        self.op = ipywidgets.Dropdown(
            options=[("any", ""), *((op, op) for op in ops)], value=first[1], description="op"
        )
        self.shape = ipywidgets.Text(first[2], placeholder="such as ?,7,7,64", description="shape")
        self.order = ipywidgets.Dropdown(options=list(ORDERS), description="sorted by")
        self.down = ipywidgets.ToggleButton(False, description="descending")
        self.page = ipywidgets.BoundedIntText(1, min=1, max=1, description="page")
        self.count = ipywidgets.HTML()
        self.header = ipywidgets.HTML(text_block(row_text(WIDTHS)))
        self.rows = ipywidgets.Select(
            rows=12, tooltip="tensors", layout=ipywidgets.Layout(width="99%")
        )
        self.facts = ipywidgets.HTML()
        wide = ipywidgets.Layout(width="49%")
        self.reads = ipywidgets.Select(rows=4, tooltip="it reads", layout=wide)
        self.readers = ipywidgets.Select(rows=4, tooltip="it is read by", layout=wide)
        self.fetch = ipywidgets.Button(description="Fetch its value", icon="download")
        self.value = ipywidgets.HTML()
        self.histogram = ipywidgets.Image(
            format="png", layout=ipywidgets.Layout(display="none", max_width="640px")
        )
        self.histogram.alt = "histogram of the value"
        self.box = self._arranged()
        self.picked = ""
        handlers = Handlers()
        filters = (self.name, self.op, self.shape, self.order, self.down)
        handlers.on_change(lambda new: self._search(), *filters)
        handlers.on_change(lambda new: self._turn(), self.page)
        handlers.on_change(self._go, self.rows, self.reads, self.readers)
        self.fetch.on_click(lambda button: answer(self.value, self._fetch))
        handlers.run(self._search)

    def _arranged(self) -> ipywidgets.Box:
        filters = ipywidgets.Layout(flex_flow="row wrap")
        both = ipywidgets.HBox([self.reads, self.readers])
        titles = ipywidgets.HBox(
            [
                ipywidgets.HTML("reads (click to go there)", layout=self.reads.layout),
                ipywidgets.HTML("is read by", layout=self.readers.layout),
            ]
        )
        box = stacked(
            ipywidgets.HBox([self.name, self.op, self.shape], layout=filters),
            ipywidgets.HBox([self.order, self.down, self.page, self.count], layout=filters),
            *(self.header, self.rows, self.facts, titles, both),
            ipywidgets.HBox(
                [self.fetch, self.value], layout=ipywidgets.Layout(align_items="center")
            ),
            self.histogram,
        )
        for each in (self.name, self.op, self.shape, self.order):
            each.layout.width = "270px"
        self.down.layout.width, self.page.layout.width = "120px", "160px"
        for style in ("nbh-explorer", "nbh-mono", "nbh-pre"):
            box.add_class(style)
        self.header.add_class("nbh-head")
        return box

    def _search(self) -> None:
        try:
            asked = (self.name.value, self.op.value, self.shape.value)
            found = found_tensors(self._view, *asked, order=self.order.value)
        except Refusal as error:
            self.count.value = said(error)
            return
        self.found = found[::-1] if self.down.value else found
        self.page.max = max(1, -(-len(self.found) // PAGE))
        self.page.value = 1
        self._turn()

    def _turn(self) -> None:
        start = PAGE * (self.page.value - 1)
        rows = self.found[start : start + PAGE]
        total = f"{len(self.found)} of {len(self._view.tensors)} tensors"
        self.count.value = f"{total}, page {self.page.value} of {self.page.max}"
        self.rows.options = [(self._row(tensor), tensor.name) for tensor in rows]
        if rows:
            self.pick(rows[0].name)

    def _row(self, tensor: "TensorInfo") -> str:
        twin = self._twins.get(tensor.name)
        known = (tensor.name, tensor.op, tensor.dtype, shape_text(tensor))
        return row_text([*known, twin.onnx if twin else "–"])

    def _go(self, name: str | None) -> None:
        if name:  # None means that nothing is chosen any more
            self.pick(name)

    def pick(self, name: str) -> None:
        """Show one tensor, its ONNX twin, and its neighbours, which can be clicked in turn."""
        tensor = self._view.tensor(name)
        self.picked = tensor.name
        on_page = [each for _, each in self.rows.options]
        self.rows.index = on_page.index(name) if name in on_page else None
        lines = [f"{tensor.name}  ({tensor.op}, {tensor.dtype}, {shape_text(tensor)})"]
        twin = self._twins.get(tensor.name)
        if twin:
            axes = "" if twin.layout == "as is" else f", its axes in the order {twin.layout}"
            lines.append(f"ONNX  {twin.onnx}{axes}")
            lines += [f"torch {twin.torch}"] if twin.torch else []
        self.facts.value = text_block("\n".join(lines))
        reads, readers = self._view.neighbours(tensor.name)
        for box, names in ((self.reads, reads), (self.readers, readers)):
            box.options = list(dict.fromkeys(names[:NEIGHBOURS]))
            box.index = None
        self.value.value = ""
        self.histogram.layout.display = "none"

    def _fetch(self) -> str:
        from tfgraph.graphs.run import run_view  # imported here because it needs TensorFlow

        value = run_view(self._view, self._feeds, fetch=[self.picked], optimised=False)[self.picked]
        self.histogram.value = value_picture(value, self.picked)._repr_png_()
        self.histogram.layout.display = ""
        return text_block(value_line(value))
