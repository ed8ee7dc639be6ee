"""Static shapes and constant values of a graph."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tfgraph.graphs.frozen import FrozenGraph
from tfgraph.graphs.graphdef import GraphView

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


GROUPS = "_groups"
"""A convolution's attribute for the number of its groups, which no artefact contains."""


class Shapes:
    """Static shapes and constant values of a graph, by input reference ("name", "name:1")."""

    def __init__(self, graph: FrozenGraph) -> None:
        """Take a graph, which is only read when a rule first needs a shape."""
        self._graph = graph

    @cached_property
    def _nodes(self) -> dict[str, "NodeDef"]:
        return {node.name: node for node in self._graph.skeleton.node}

    @cached_property
    def _view(self) -> GraphView:
        return GraphView(self._graph.skeleton)

    def of(self, reference: str) -> tuple[int | None, ...] | None:
        """Return the shape with None for an unknown size, or None if the rank is unknown.

        The shapes of nodes that a rule has just written are unknown.
        """
        name = reference.lstrip("^")
        tensor = self._view.tensors.get(name if ":" in name else f"{name}:0")
        return tensor.shape if tensor else None

    def constant(self, reference: str) -> np.ndarray | None:
        """Return the value if a Const makes it."""
        from tensorflow.python.framework import tensor_util

        name = reference.partition(":")[0]
        if name in self._graph.weights:
            return self._graph.weights[name]
        node = self._nodes.get(name)
        if node is None or node.op != "Const":
            return None
        return tensor_util.MakeNdarray(node.attr["value"].tensor)


def groups(node: "NodeDef", shapes: Shapes) -> int | None:
    """Return the number of a convolution's groups, or None if it cannot be inferred.

    `node` has every attribute written out.
    """
    if noted := node.attr[GROUPS].i:
        return noted
    data, filters = (shapes.of(source) for source in node.input[:2])
    if data is None or filters is None:
        return None
    channels = data[node.attr["data_format"].s.decode().index("C")]
    return None if channels is None or filters[-2] is None else channels // filters[-2]
