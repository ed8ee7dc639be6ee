"""Make the graph fast before it is saved: Grappler folds its constants and moves it to NHWC.

This happens once, before the graph is saved, so every runtime gets the fast graph, old ones
included. The remapper is left out, because its fused ops exist only at run time and cannot be
saved.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from tfgraph import framework
from tfgraph.graphs.frozen import FrozenGraph, consumers, filled, needed, split_weights
from tfgraph.graphs.layouts import lift_anchors
from tfgraph.graphs.order import in_order, maker
from tfgraph.graphs.shapes import GROUPS
from tfgraph.optimising import grappler
from tfgraph.optimising.barriers import with_barriers

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

LAYOUT = ("constfold", "layout", "constfold")
ALGEBRA = ("arithmetic", "dependency")

_REDUCTIONS = {"Max", "MaxPool", "MaxPool3D", "Min"}
"""Ops that Grappler's algebra swaps with the op before them, for example a Relu.

Both ops keep their names, so these would then name other tensors than ONNX's.
"""

_AS_THEY_ARE = {
    *((op, 1) for op in ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2")),
    ("GatherV2", 0),
}
"""Ops, and the input, that use weights unchanged, so that there is nothing to fold."""


_STAND_IN = "FakeParam"
"""An op that has a type, a shape and no inputs, and that no pass computes."""


def optimise(graph: "FrozenGraph | GraphDef", outputs: Iterable[str]) -> FrozenGraph:
    """Return an equal graph with constants folded and convolutions in NHWC.

    Grappler never sees weights that have nothing to fold, so its work does not grow with their
    size.

    Args:
        graph: a frozen graph in NCHW.
        outputs: names of the tensors that must survive ("digit:0").

    Raises:
        ConversionError: Grappler crashed, failed or hung.
    """
    outputs = list(outputs)
    with framework.no_garbage_collection():
        graph = with_barriers(needed(split_weights(graph), outputs))
    readers = consumers(graph.skeleton, graph.weights)
    apart = {n: v for n, v in graph.weights.items() if readers[n] <= _AS_THEY_ARE}
    folded = {n: v for n, v in graph.weights.items() if n not in apart}
    request = filled(graph.skeleton, folded)
    _disguise(request.node, apart)
    moved = grappler.run(request, outputs, LAYOUT)
    kept = [f"{node.name}:0" for node in moved.node if node.op in _REDUCTIONS]
    optimised = grappler.run(moved, [*outputs, *kept], ALGEBRA)
    lift_anchors(optimised.node)
    for node in optimised.node:
        node.device = ""
        if node.op == _STAND_IN:
            node.op = "Placeholder"
        for private in [name for name in node.attr if name.startswith("_") and name != GROUPS]:
            del node.attr[private]
    result = split_weights(in_order(optimised))
    left = {node.name for node in result.skeleton.node}
    return FrozenGraph(
        result.skeleton, {**{n: v for n, v in apart.items() if n in left}, **result.weights}
    )


def _disguise(nodes: "Iterable[NodeDef]", weights: Collection[str]) -> None:
    """Replace the weights' placeholders in place, because Grappler makes a tensor for each of them.

    Each gets a number, so that two of one shape are not taken for equal.
    """
    for number, node in enumerate(node for node in nodes if node.name in weights):
        node.op = _STAND_IN
        node.attr["_number"].i = number


def inline(graph_def: "GraphDef") -> "GraphDef":
    """Return the graph with every function call replaced by the function's own nodes."""
    called = {maker(source) for node in graph_def.node for source in node.input}
    last = [node.name for node in graph_def.node if node.name not in called and node.op != "NoOp"]
    return grappler.run(graph_def, last, ("function",))
