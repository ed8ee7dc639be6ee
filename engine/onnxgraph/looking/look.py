"""Find nodes by op, name, tensors or attributes, and see the nodes around one of them.

The tables have a column `node` with the name that the other verbs accept.
"""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper

from onnxgraph.editing.attributes import schema_of
from onnxgraph.editing.finishing import inferred
from onnxgraph.model import interface
from onnxgraph.model.dataflow import reads
from onnxgraph.model.entry_check import checked
from onnxgraph.model.formatting import attribute_text, shape_text
from onnxgraph.model.graphs import graphs
from onnxgraph.model.nodes import locate, node_name, op_name

if TYPE_CHECKING:
    import pandas

_COLUMNS = ("node", "op", "graph", "inputs", "outputs", "shape", "attributes")


@checked
def find_nodes(
    model: onnx.ModelProto,
    *,
    op: str | Iterable[str] = "*",
    name: str = "*",
    tensor: str = "*",
    attributes: Mapping[str, Any] | None = None,
    shape: Sequence[int | str | None] | None = None,
) -> "pandas.DataFrame":
    """Return a table of the nodes that match everything given.

    Patterns are those of file names: `*` for any characters, `?` for one, `[ab]` for one of
    several.

    Args:
        model: the model.
        op: a pattern of operators, or several: `Conv`, `*Pool`, `com.microsoft.*`.
        name: a pattern of node names.
        tensor: a pattern of names of tensors that the node reads or writes.
        attributes: attribute name to value. An attribute that a node leaves out has its default.
        shape: the shape of a tensor that the node writes. None fits any size, a text is a symbol.

    Columns: node, op, graph, inputs, outputs, shape (of the first output), attributes.
    """
    wanted = [op] if isinstance(op, str) else list(op)
    shapes = _shapes(model)
    rows = [
        _row(graph, node, shapes)
        for graph in graphs(model.graph)
        for node in graph.node
        if any(fnmatch.fnmatchcase(op_name(node), each) for each in wanted)
        and fnmatch.fnmatchcase(node_name(node), name)
        and any(fnmatch.fnmatchcase(each, tensor) for each in (*node.input, *node.output))
        and all(_has(model, node, *pair) for pair in (attributes or {}).items())
        and (shape is None or any(_fits(shapes.get(each), shape) for each in node.output))
    ]
    return _table(rows)


@checked
def neighbours(
    model: onnx.ModelProto, node: str, *, up: int = 1, down: int = 1
) -> "pandas.DataFrame":
    """Return a table of the nodes around one node of the same graph, in graph order.

    The column `steps` is the length of the shortest path: -1 makes an input of the node, 1 reads an
    output of it, 0 is the node itself.

    Args:
        model: the model.
        node: the node's name, or the name of a tensor that it writes.
        up: how many steps to go towards the inputs.
        down: how many steps to go towards the outputs.

    Raises:
        UnknownName: there is no such node.
        GraphError: the name fits several nodes.
    """
    graph, _ = locate(model, node)
    maker = {name: n for n, each in enumerate(graph.node) for name in each.output if name}
    start = next(n for n, each in enumerate(graph.node) if node in (each.name, *each.output))
    sources = [{maker[name] for name in reads(each) if name in maker} for each in graph.node]
    readers: list[set[int]] = [set() for _ in graph.node]
    for n, found in enumerate(sources):
        for source in found:
            readers[source].add(n)
    away = {n: -steps for n, steps in _walk(sources, start, up).items()}
    away |= _walk(readers, start, down)
    shapes = _shapes(model)
    rows = [{"steps": away[n], **_row(graph, graph.node[n], shapes)} for n in sorted(away)]
    return _table(rows, "steps")


def _walk(arrows: Sequence[Iterable[int]], start: int, steps: int) -> dict[int, int]:
    """Return the number of steps to each node, along the arrows."""
    away, edge = {start: 0}, {start}
    for step in range(1, steps + 1):
        edge = {n for each in edge for n in arrows[each]} - set(away)
        away |= dict.fromkeys(edge, step)
    return away


def _row(
    graph: onnx.GraphProto, node: onnx.NodeProto, shapes: Mapping[str, tuple | None]
) -> dict[str, str]:
    first = next((name for name in node.output if name), "")
    return {
        "node": node_name(node),
        "op": op_name(node),
        "graph": graph.name,
        "inputs": ", ".join(node.input),
        "outputs": ", ".join(node.output),
        "shape": shape_text(shapes.get(first)),
        "attributes": ", ".join(f"{each.name}={attribute_text(each)}" for each in node.attribute),
    }


def _table(rows: list[dict], *more: str) -> "pandas.DataFrame":
    import pandas

    return pandas.DataFrame(rows, columns=[*more, *_COLUMNS])


def _shapes(model: onnx.ModelProto) -> dict[str, tuple | None]:
    """Return the known shapes, in branches and bodies too."""
    found: dict[str, tuple | None] = {}
    for graph in graphs(inferred(model).graph):
        values = (*graph.input, *graph.value_info, *graph.output)
        found |= {value.name: interface.dims(value) for value in values}
    return found


def _has(model: onnx.ModelProto, node: onnx.NodeProto, name: str, value: Any) -> bool:
    attribute = next((each for each in node.attribute if each.name == name), None)
    if attribute is None:
        schema = schema_of(model, node)
        known = schema.attributes if schema is not None else {}
        attribute = known[name].default_value if name in known else None
    if attribute is None or not attribute.type:
        return value is None
    seen = helper.get_attribute_value(attribute)
    if isinstance(seen, bytes):
        return seen.decode("utf-8", "replace") == value
    if isinstance(seen, float):
        return isinstance(value, int | float) and bool(np.float32(value) == np.float32(seen))
    if isinstance(seen, int):
        return bool(seen == value)
    if isinstance(value, str) or not isinstance(value, Iterable):
        return False
    plain = [each.decode() if isinstance(each, bytes) else each for each in seen]
    return plain == list(value)


def _fits(seen: tuple | None, wanted: Sequence[int | str | None]) -> bool:
    return (
        seen is not None
        and len(seen) == len(wanted)
        and all(want is None or want == dim for want, dim in zip(wanted, seen, strict=True))
    )
