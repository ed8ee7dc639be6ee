"""Grappler's constant folding, which tf2onnx needs, without the changes to results.

For example, Grappler rewrites x / 41 as x · (1 / 41), and (1 - x) + c as (1 + c) - x. Barriers
prevent that, and are removed again afterwards.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tfgraph.graphs.frozen import split_weights
from tfgraph.graphs.order import in_order
from tfgraph.optimising import grappler
from tfgraph.optimising.barriers import with_barriers

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

PASSES = ("constfold", "dependency")
"""The passes that tf2onnx needs before it reads a graph."""

_BOOL = 10
"""TensorFlow's number for the type."""


def folded(graph_def: "GraphDef", outputs: Iterable[str]) -> "GraphDef":
    """Return the graph with its constants folded.

    Args:
        graph_def: a frozen graph.
        outputs: tensors that survive ("y:0").

    Raises:
        ConversionError: Grappler crashed, failed or hung.
    """
    ordered = in_order(graph_def)
    barred = with_barriers(split_weights(ordered), exactly=True).graph_def
    added = {node.name for node in barred.node} - {node.name for node in ordered.node}
    return _without(grappler.run(barred, outputs, PASSES), added)


def _without(graph_def: "GraphDef", added: set[str]) -> "GraphDef":
    """Replace each barrier by an Identity of the tensor that it protects."""
    for node in graph_def.node:
        if node.name in added and not node.name.endswith("/least"):
            if node.op == "LogicalAnd":
                node.attr["T"].type = _BOOL
            node.op = "Identity"
            del node.input[1:]
    return graph_def
