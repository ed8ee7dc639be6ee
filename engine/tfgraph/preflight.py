"""Find all nodes that cannot be converted for a target, before any of the work.

The handlers run on shapes alone. What they build is then compared with the target's op table. The
weights are not read, and nothing is optimised or compared with onnxruntime.
"""

import html
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

import onnxgraph
from graphcore.targets import Target
from onnxgraph.model.dataflow import needed_for
from onnxgraph.model.entry_check import checked
from onnxgraph.model.graphs import graphs
from onnxgraph.model.interface import fed as fed_inputs
from onnxgraph.model.nodes import node_name
from onnxgraph.model.random_ops import RANDOM_OPS
from tfgraph import framework, optables
from tfgraph.building.build import Built, attempt, label, prepare
from tfgraph.graphs.order import maker
from tfgraph.obstacles import Obstacle, Unconvertible
from tfgraph.retargeting.retarget import origin, unwritable

COLUMNS = ("node", "op", "opset", "why", "help")


@dataclass(frozen=True)
class Preflight:
    """The obstacles to converting a model for a target."""

    target: str
    nodes: int
    obstacles: tuple[Obstacle, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every node can be converted."""
        return not self.obstacles

    def rows(self) -> list[dict[str, object]]:
        """Return a table with the columns node, op, opset, why, and what would help."""
        return [{name: getattr(each, name) for name in COLUMNS} for each in self.obstacles]

    def check(self) -> "Preflight":
        """Return self if every node can be converted.

        Raises:
            Unconvertible: some nodes cannot be converted. The error names them.
        """
        if self.obstacles:
            raise Unconvertible(self.obstacles)
        return self

    def __repr__(self) -> str:
        """Return one line, and the table if there are obstacles."""
        bad = len(self.obstacles)
        found = (
            f"{bad} of {self.nodes} ONNX nodes cannot be converted"
            if bad
            else f"all {self.nodes} ONNX nodes can be converted"
        )
        lines = [f"Preflight for {self.target}: {found} ({1000 * self.seconds:.0f} ms)"]
        table = [COLUMNS, *(tuple(map(str, row.values())) for row in self.rows())]
        widths = [max(map(len, column)) for column in list(zip(*table, strict=True))[:3]]
        for row in table if self.obstacles else []:
            first = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False))
            lines.append(f"  {first}  {'; '.join(row[3:])}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        if not self.obstacles:
            return f"<pre>{html.escape(repr(self))}</pre>"
        head = "".join(f"<th>{name}</th>" for name in COLUMNS)
        body = "".join(_html_row(row.values()) for row in self.rows())
        caption = html.escape(repr(self).partition("\n")[0])
        return f"<table><caption>{caption}</caption><tr>{head}</tr>{body}</table>"


@checked
def preflight(model: onnx.ModelProto | str | Path, target: str = "tf2") -> Preflight:
    """Return all obstacles to converting a model for a target.

    Args:
        model: a model, or the path of one.
        target: "tf1.4", "tf1.13", "tf1.15" or "tf2".

    Raises:
        GraphError: the file is not an ONNX model.
        UnknownName: the target does not exist.
    """
    optables.table(target)
    if not isinstance(model, onnx.ModelProto):
        model = onnxgraph.load(model, keep_external=True, leave_weights=True)
    framework.tensorflow()
    begin = time.perf_counter()
    ready = prepare(model)
    built = attempt(ready)
    found = obstacles(built, ready, target)
    return Preflight(target, _count(model), found, time.perf_counter() - begin)


def obstacles(built: Built, model: onnx.ModelProto, target: str) -> tuple[Obstacle, ...]:
    """Return a model's obstacles: those found while it was built, and those of the target."""
    return (*_with_cuts(built.obstacles, model), *_unwritable(built, model, target))


def _with_cuts(found: Iterable[Obstacle], model: onnx.ModelProto) -> list[Obstacle]:
    """Return the obstacles, with the call that turns the numbers of random ops into inputs.

    Random ops that no output needs are left out.
    """
    nodes = [node for node in model.graph.node if node.op_type in RANDOM_OPS]
    drawn = {node_name(node): node for node in nodes}
    starts = [node.output[0] for node in nodes]
    outputs = [value.name for value in model.graph.output]
    used = needed_for(model.graph, outputs, given=starts)[1]
    fed = [value.name for value in fed_inputs(model.graph)]
    inputs = [name for name in (*fed, *starts) if name in used]
    advice = f"Let these numbers be inputs: onnxgraph.cut(model, inputs={inputs!r})"
    kept = [each for each in found if each.node not in drawn or used & set(drawn[each.node].output)]
    return [replace(each, help=advice) if each.node in drawn else each for each in kept]


def _unwritable(built: Built, model: onnx.ModelProto, target: str) -> list[Obstacle]:
    """Return the ONNX nodes that need something of TensorFlow that the target does not know."""
    problems = unwritable(built.graph, target)
    if not problems:
        return []
    newer = [each.name for each in Target.named(target).and_newer()[1:]]
    left = {name: unwritable(built.graph, name) for name in newer}
    nodes = {label(node): node for node in model.graph.node}
    opset = onnxgraph.opset(model)
    outputs = {maker(tensor) for tensor in built.outputs.values()}
    found: dict[str, Obstacle] = {}
    for tensorflow_node, problem in problems.items():
        if tensorflow_node in outputs:
            continue  # the node that makes the output is listed too
        name = origin(tensorflow_node, built.provenance)
        op = nodes[name].op_type if name in nodes else "input"
        since = next((each for each in newer if tensorflow_node not in left[each]), "")
        help_ = (
            f"convert for {since} or newer"
            if since
            else "replace the node by others with onnxgraph.replace"
        )
        why = f"cannot be written for {target}: {problem}"
        found.setdefault(name, Obstacle(name, op, opset, why, help_))
    return list(found.values())


def _count(model: onnx.ModelProto) -> int:
    return sum(len(graph.node) for graph in graphs(model.graph))


def _html_row(cells: Iterable[object]) -> str:
    return "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>"
