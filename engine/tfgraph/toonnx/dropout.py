"""Remove dropout that keeps everything, which training left in a graph, without any change.

With a keep probability of 1, TensorFlow multiplies by floor(1 + u). Later versions multiply by
u >= 0, or select by it. Here u is a random number in [0, 1), so the factor is one, whatever u is. A
node is only changed if the range of u alone proves that.
"""

from typing import TYPE_CHECKING

from tfgraph.graphs.order import in_order, maker

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

Range = tuple[float, float]
"""A half-open range: the first number is included, the second is not."""

_ADDS = ("Add", "AddV2")
_DRAWS = ("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2")


def without_dropout(graph_def: "GraphDef") -> "GraphDef":
    """Return the graph without multiplications by a factor that is certainly one."""
    ordered = in_order(graph_def)
    nodes = {node.name: node for node in ordered.node}
    ranges: dict[str, Range] = {}
    for node in ordered.node:
        found = _range(node, ranges, nodes)
        if found is not None:
            ranges[node.name] = found
    ones = {name for name, node in nodes.items() if _is_one(node, nodes, ranges)}
    for node in ordered.node:
        kept = _kept(node, ones)
        if kept is not None:
            node.op = "Identity"
            node.input[:] = [kept]
    return ordered


def _range(node: "NodeDef", ranges: dict[str, Range], nodes: dict[str, "NodeDef"]) -> Range | None:
    """Return the range of a node that is drawn, or computed from a drawn one and constants."""
    if node.op in _DRAWS:
        return 0.0, 1.0
    if node.op not in (*_ADDS, "Mul", "Sub", "Identity"):
        return None
    drawn = [place for place, name in enumerate(node.input) if maker(name) in ranges]
    if len(drawn) != 1:
        return None
    low, high = ranges[maker(node.input[drawn[0]])]
    if node.op == "Identity":
        return low, high
    other = _number(nodes[maker(node.input[1 - drawn[0]])])
    if other is None or (node.op == "Sub" and drawn[0] == 1):
        return None
    if node.op == "Mul":
        return (low * other, high * other) if other > 0 else None
    step = -other if node.op == "Sub" else other
    return low + step, high + step


def _is_one(node: "NodeDef", nodes: dict[str, "NodeDef"], ranges: dict[str, Range]) -> bool:
    """Whether all values of a node are certainly one, or true."""
    sources = [nodes[maker(each)] for each in node.input]
    if node.op == "Floor":
        return ranges.get(sources[0].name) == (1.0, 2.0)
    if node.op == "GreaterEqual" and sources[0].name in ranges:
        limit = _number(sources[1])
        return limit is not None and limit <= ranges[sources[0].name][0]
    return node.op in ("Cast", "Identity") and _is_one(sources[0], nodes, ranges)


def _kept(node: "NodeDef", ones: set[str]) -> str | None:
    """Return the input that a node passes on unchanged, because the other one is one."""
    if node.op == "Mul":
        first, second = (maker(each) in ones for each in node.input[:2])
        return node.input[0] if second else node.input[1] if first else None
    if node.op in ("Select", "SelectV2") and maker(node.input[0]) in ones:
        return node.input[1]
    return None


def _number(node: "NodeDef") -> float | None:
    """Return the value of a scalar constant."""
    if node.op != "Const":
        return None
    from tensorflow import make_ndarray

    value = make_ndarray(node.attr["value"].tensor)
    return float(value) if value.ndim == 0 and value.dtype.kind in "fiu" else None
