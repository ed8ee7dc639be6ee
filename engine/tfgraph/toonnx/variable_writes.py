"""Find nodes that write variables, because such a graph has a state, which ONNX cannot keep."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from graphcore.errors import GraphError
from tfgraph.graphs.cut import named

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_WRITES = re.compile(
    r"Assign(Add|Sub)?(VariableOp)?|(Resource)?(Sparse)?Apply[A-Z]\w*|ResourceScatter\w+|"
    r"Scatter(Add|Sub|Mul|Div|Min|Max|Update|NdAdd|NdSub|NdUpdate)|ResourceStridedSliceAssign|"
    r"StridedSliceAssign|CountUpTo|ResourceCountUpTo"
)
_BOOL = 10
"""TensorFlow's number for the type."""


def writers(nodes: Iterable["NodeDef"]) -> list["NodeDef"]:
    """Return the nodes that write a variable."""
    return [node for node in nodes if _WRITES.fullmatch(node.op)]


def check_reads_only(graph_def: "GraphDef") -> None:
    """Check that the graph, already cut to what its outputs need, writes no variable.

    Raises:
        GraphError: it does. The error names the nodes, and the switch that may be the reason.
    """
    found = writers(graph_def.node)
    if not found:
        return
    switches = [
        node.name
        for node in graph_def.node
        if node.op.startswith("Placeholder") and node.attr["dtype"].type == _BOOL
    ]
    advice = (
        f'Give the switch its value, fixed={{"{switches[0]}": False}}, or choose'
        if switches
        else "Choose"
    )
    raise GraphError(
        f"The outputs need {named(found)}, which write variables while the graph runs, and an ONNX "
        f"model keeps no state. {advice} outputs that do not hang on them."
    )
