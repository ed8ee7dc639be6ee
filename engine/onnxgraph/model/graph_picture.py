"""A picture of a part of a graph, some nodes and their neighbours, as SVG without other packages.

It is here because `Edited` displays itself. `nbhelpers.ui` draws whole graphs. Names come from
files that anybody may have made, so everything is escaped.
"""

import base64
import html
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import onnx

from onnxgraph.model.dataflow import reads
from onnxgraph.model.graphs import graphs
from onnxgraph.model.nodes import node_name, op_name

_SHOWN = 24
"""The most boxes in a picture. A line below it counts the others."""

_WIDE, _HIGH, _GAP, _DOWN = 190, 40, 16, 34
"""Pixels of a box, and between boxes of a row and between rows."""

_LANE = 14
"""Pixels between the arrows that go past a row."""

Box = tuple[str, str]
Point = tuple[float, float]

_FIGURE = "display:inline-block;vertical-align:top;margin:8px"

_PLAIN, _MARKED, _LETTERS = "#f4f4f4", "#ffe3a3", "#1f1f1f"
"""Colours of a box, of a changed box, and of the text in them."""

_LONG = 26
"""Characters of a name that fit into a box."""


@dataclass(frozen=True)
class Excerpt:
    """Boxes in rows, and arrows between them. `marked` boxes have a thick border.

    A box is an operator and a name. Inputs and outputs of the graph are boxes too.
    """

    rows: tuple[tuple[Box, ...], ...]
    arrows: tuple[tuple[Box, Box], ...] = field(repr=False)
    marked: frozenset[Box] = field(repr=False)
    more: int = 0

    @property
    def svg(self) -> str:
        """The picture. Dark letters in light boxes, and grey lines, are visible in any theme."""
        across = max((len(row) for row in self.rows), default=0)
        lanes = self._lanes()
        beside = max((_LANE * len(each) for each in lanes), default=0)
        width = across * (_WIDE + _GAP) + _GAP + beside
        height = len(self.rows) * (_HIGH + _DOWN) + (_DOWN / 2 if self.more else 0)
        places = {
            box: (_GAP + (across - len(row)) * (_WIDE + _GAP) / 2 + n * (_WIDE + _GAP), y)
            for level, row in enumerate(self.rows)
            for y in (_DOWN / 2 + level * (_HIGH + _DOWN),)
            for n, box in enumerate(row)
        }
        lines = [
            _line(places[start], places[end], self._bends(places, lanes, start, end))
            for start, end in self.arrows
        ]
        boxes = [_box(box, places[box], thick=box in self.marked) for box in places]
        more = f"and {self.more} more nodes" if self.more else ""
        note = f"<text x='{_GAP}' y='{height - 6}'>{more}</text>" if more else ""
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
            f"viewBox='0 0 {width} {height}' color='#777' fill='currentColor' stroke='none' "
            f"font-family='sans-serif' font-size='12'>{''.join(lines)}{''.join(boxes)}{note}</svg>"
        )

    def _lanes(self) -> list[list[Box]]:
        """Return for each row the boxes whose arrows pass it, each in a lane beside the row."""
        level = {box: n for n, row in enumerate(self.rows) for box in row}
        spans = [(start, range(level[start] + 1, level[end])) for start, end in self.arrows]
        return [
            list(dict.fromkeys(start for start, between in spans if n in between))
            for n in range(len(self.rows))
        ]

    def _bends(
        self, places: Mapping[Box, Point], lanes: list[list[Box]], start: Box, end: Box
    ) -> list[Point]:
        """Return the points through which an arrow passes the rows between its ends."""
        found = []
        for row, passing in zip(self.rows, lanes, strict=True):
            x, y = places[row[-1]]
            if places[start][1] < y < places[end][1]:
                x += _WIDE + _LANE * (passing.index(start) + 1)
                found += [(x, y), (x, y + _HIGH)]
        return found

    def __repr__(self) -> str:
        """Return the boxes row by row, marked ones with a star."""
        texts = [
            "   ".join(f"{'*' if box in self.marked else ''}{' '.join(box).strip()}" for box in row)
            for row in self.rows
        ]
        return "\n".join([*texts, *([f"and {self.more} more nodes"] if self.more else [])])

    @property
    def image(self) -> str:
        """The picture as HTML, which JupyterLab displays even in an untrusted notebook."""
        data = base64.b64encode(self.svg.encode()).decode()
        text = html.escape(repr(self), quote=True)
        return f"<img src='data:image/svg+xml;base64,{data}' alt='{text}' style='max-width:100%'>"

    def _repr_html_(self) -> str:
        return self.image


def excerpt(model: onnx.ModelProto, nodes: Iterable[str], *, steps: int = 1) -> Excerpt:
    """Return a picture of some nodes, marked, and of their neighbours.

    Args:
        model: the model.
        nodes: names of nodes, or of tensors that they write. Unknown ones are left out.
        steps: the largest distance of a neighbour.
    """
    wanted = set(nodes)
    graph = _home(model, wanted)
    marked = [n for n, node in enumerate(graph.node) if not wanted.isdisjoint(_names(node))]
    maker = {name: n for n, node in enumerate(graph.node) for name in node.output if name}
    sources = [{maker[name] for name in reads(node) if name in maker} for node in graph.node]
    readers: dict[int, set[int]] = {}
    for n, found in enumerate(sources):
        for source in found:
            readers.setdefault(source, set()).add(n)
    shown, edge = dict.fromkeys(marked[:_SHOWN]), set(marked[:_SHOWN])
    for _ in range(steps):
        edge = {x for n in edge for x in (*sources[n], *readers.get(n, ()))} - set(shown)
        shown |= dict.fromkeys(sorted(edge)[: _SHOWN - len(shown)])
    return _drawn(graph, sorted(shown), set(marked), maker)


def side_by_side(before: onnx.ModelProto, after: onnx.ModelProto, nodes: Iterable[str] = ()) -> str:
    """Return HTML with the same part of two models and marked differences.

    Without differences it is "".
    """
    parts = []
    nodes = list(nodes)
    for title, model, other in (("before", before, after), ("after", after, before)):
        changed = _changed(model, other) or [n for n in nodes if n]
        picture = excerpt(model, changed)
        if picture.rows:
            figure = f"<figcaption>{title}</figcaption>{picture.image}"
            parts.append(f"<figure style='{_FIGURE}'>{figure}</figure>")
    return f"<div>{''.join(parts)}</div>" if parts else ""


def _changed(model: onnx.ModelProto, other: onnx.ModelProto) -> list[str]:
    """Return the nodes that the other model does not have in this form."""
    known = {each.SerializeToString(deterministic=True) for each in _every(other)}
    return [
        node.output[0]
        for node in _every(model)
        if node.output and node.SerializeToString(deterministic=True) not in known
    ]


def _every(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for graph in graphs(model.graph) for node in graph.node]


def _names(node: onnx.NodeProto) -> set[str]:
    return {node.name, *node.output} - {""}


def _home(model: onnx.ModelProto, wanted: Collection[str]) -> onnx.GraphProto:
    """Return the innermost graph that holds one of the nodes."""
    holding = [
        graph
        for graph in graphs(model.graph)
        if any(not _names(node).isdisjoint(wanted) for node in graph.node)
    ]
    return holding[-1] if holding else model.graph


def _drawn(
    graph: onnx.GraphProto, shown: list[int], marked: set[int], maker: dict[str, int]
) -> Excerpt:
    """Return the excerpt with each box one row below the lowest box that it reads."""
    weights = {weight.name for weight in graph.initializer}
    inputs = {value.name for value in graph.input} - weights
    box: dict[int, tuple[str, str]] = {}
    for n in shown:
        node = graph.node[n]
        pair = (op_name(node), node_name(node))
        box[n] = pair if pair not in box.values() else (pair[0], node.output[0])
    level: dict[tuple[str, str], int] = {}
    arrows = []
    for n in shown:
        before = [("input", name) for name in reads(graph.node[n]) if name in inputs]
        before += [box[maker[x]] for x in reads(graph.node[n]) if maker.get(x) in box]
        before = list(dict.fromkeys(before))
        level |= {each: 0 for each in before if each not in level}
        level[box[n]] = 1 + max((level[each] for each in before), default=-1)
        arrows += [(each, box[n]) for each in before]
    for each in [each for each in level if each[0] == "input"]:  # as near as possible to a reader
        readers = [level[end] for start, end in arrows if start == each]
        level[each] = min(readers, default=level[each] + 1) - 1
    for value in graph.output:
        made = maker.get(value.name)
        if made in box:
            end = ("output", value.name)
            level[end] = level[box[made]] + 1
            arrows.append((box[made], end))
    rows = [[each for each in level if level[each] == n] for n in sorted(set(level.values()))]
    return Excerpt(
        tuple(map(tuple, rows)),
        tuple(arrows),
        frozenset(box[n] for n in shown if n in marked),
        len(marked - set(shown)),
    )


def _line(start: Point, end: Point, bends: Iterable[Point]) -> str:
    x1, y1, x2, y2 = start[0] + _WIDE / 2, start[1] + _HIGH, end[0] + _WIDE / 2, end[1]
    tip = f"M{x2 - 4:g} {y2 - 7:g}L{x2:g} {y2:g}L{x2 + 4:g} {y2 - 7:g}z"
    way = "".join(f"L{x:g} {y:g}" for x, y in (*bends, (x2, y2)))
    line = f"<path d='M{x1:g} {y1:g}{way}' stroke='currentColor' fill='none'/>"
    return f"{line}<path d='{tip}'/>"


def _box(box: Box, place: Point, *, thick: bool) -> str:
    x, y = place
    title = html.escape(" ".join(box))
    op, name = (
        html.escape(text if len(text) <= _LONG else f"…{text[1 - _LONG :]}") for text in box
    )
    round_ = _HIGH / 2 if box[0] in ("input", "output") else 3
    look = f"fill='{_MARKED if thick else _PLAIN}' stroke-width='{4 if thick else 1}'"
    middle = f"x='{x + _WIDE / 2:g}' text-anchor='middle'"
    return (
        f"<g><title>{title}</title>"
        f"<rect x='{x:g}' y='{y:g}' width='{_WIDE}' height='{_HIGH}' rx='{round_:g}' {look} "
        f"stroke='currentColor'/><g fill='{_LETTERS}'><text {middle} y='{y + 16:g}' "
        f"font-weight='bold'>{op}</text><text {middle} y='{y + 31:g}'>{name}</text></g></g>"
    )
