"""Rewrite ops that tf2onnx does not know into older ones, by the rules for old targets.

For example, Grappler writes `DataFormatVecPermute` into graphs with a dynamic batch.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from tfgraph.graphs.frozen import split_weights
from tfgraph.graphs.shapes import Shapes
from tfgraph.retargeting.rules import RULES

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef


def in_older_terms(graph_def: "GraphDef", known: Collection[str]) -> "GraphDef":
    """Return an equal graph in which the ops that are not `known` are rewritten."""
    if not any(node.op in RULES and node.op not in known for node in graph_def.node):
        return graph_def
    shapes = Shapes(split_weights(graph_def))
    result = type(graph_def)(versions=graph_def.versions)
    result.library.CopyFrom(graph_def.library)
    for node in graph_def.node:
        strange = node.op in RULES and node.op not in known
        rewritten = RULES[node.op](node, shapes) if strange else None
        result.node.extend(rewritten or [node])
    return result
