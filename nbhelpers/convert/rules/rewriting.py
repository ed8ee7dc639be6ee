"""What a rule is given and what it is written with."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from nbhelpers.convert.graphs.frozen import FrozenGraph
from nbhelpers.convert.graphs.graphdef import GraphView

if TYPE_CHECKING:
    from tensorflow.core.framework.attr_value_pb2 import AttrValue
    from tensorflow.core.framework.node_def_pb2 import NodeDef


GROUPS = "_groups"
"""The attribute of a convolution with the number of its groups; no artefact has it."""


class Shapes:
    """Static shapes and constant values of a graph, by input reference ("name", "name:1")."""

    def __init__(self, graph: FrozenGraph) -> None:
        """Take the graph; it is looked into when a rule first asks."""
        self._graph = graph

    @cached_property
    def _nodes(self) -> dict[str, "NodeDef"]:
        return {node.name: node for node in self._graph.hollow.node}

    @cached_property
    def _view(self) -> GraphView:
        return GraphView(self._graph.hollow)

    def of(self, reference: str) -> tuple[int | None, ...] | None:
        """Return the shape with None for an unknown size, or None if the rank is unknown.

        It is unknown of what a rule has just written.
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


Rule: TypeAlias = Callable[["NodeDef", Shapes], "list[NodeDef] | None"]

RULES: dict[str, Rule] = {}
"""Op → rule."""

UNTIL: dict[str, str] = {}
"""Op → the newest target that knows the op but not for every shape, and so asks its rule first."""

UNFUSED: dict[str, Rule] = {}
"""Op → the rule that writes it in a form which no graph optimiser fuses with what is before it."""


def rule(op: str, *, until: str = "") -> Callable[[Rule], Rule]:
    """Register the rule for an op; targets up to `until` ask it though they know the op."""

    def register(function: Rule) -> Rule:
        RULES[op] = function
        if until:
            UNTIL[op] = until
        return function

    return register


def unfused(op: str) -> Callable[[Rule], Rule]:
    """Register the rule that keeps an op from being fused."""

    def register(function: Rule) -> Rule:
        UNFUSED[op] = function
        return function

    return register


def defaults(op: str) -> dict[str, "AttrValue"]:
    """Return the attributes of an op that have a default, and that value."""
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op)
    if definition is None:
        return {}
    return {a.name: a.default_value for a in definition.attr if a.HasField("default_value")}


def with_defaults(node: "NodeDef") -> "NodeDef":
    """Return a copy with every attribute written out."""
    copy = type(node)()
    copy.CopyFrom(node)
    for name, value in defaults(node.op).items():
        if name not in copy.attr:
            copy.attr[name].CopyFrom(value)
    return copy


def groups(node: "NodeDef", shapes: Shapes) -> int | None:
    """Return the number of a convolution's groups; None if it cannot be inferred.

    `node` has every attribute written out.
    """
    if noted := node.attr[GROUPS].i:
        return noted
    data, filters = (shapes.of(source) for source in node.input[:2])
    if data is None or filters is None:
        return None
    channels = data[node.attr["data_format"].s.decode().index("C")]
    return None if channels is None or filters[-2] is None else channels // filters[-2]


def like(node: "NodeDef", op: str, *attributes: str) -> "NodeDef":
    """Return a node with another op, the same name and inputs, and just these attributes."""
    result = type(node)(name=node.name, op=op, input=node.input)
    for name in attributes:
        result.attr[name].CopyFrom(node.attr[name])
    return result


def new(name: str, op: str, inputs: list[str], **types: int) -> "NodeDef":
    """Return a node; `types` gives its type attributes by name."""
    from tensorflow.core.framework import node_def_pb2

    node = node_def_pb2.NodeDef(name=name, op=op, input=inputs)
    for attribute, code in types.items():
        node.attr[attribute].type = code
    return node


def const(name: str, value: np.ndarray, dtype: int) -> "NodeDef":
    """Return a Const of the type `dtype` (a DataType)."""
    from tensorflow.python.framework import tensor_util

    node = new(name, "Const", [], dtype=dtype)
    proto = tensor_util.make_tensor_proto(value, dtype=dtype)
    node.attr["value"].tensor.CopyFrom(proto)
    return node
