"""Newer TensorFlow ops in older terms, one exact rule an op.

A rule takes a node (every attribute written out) and the graph's static shapes, and returns the
nodes that replace it, the last one under the same name; or None where it is not exact for this one.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from nbhelpers.convert.graphdef import GraphView

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


class Shapes:
    """Static shapes and constant values of a graph, by input reference ("name", "name:1")."""

    def __init__(self, view: GraphView) -> None:
        """Index the nodes of `view`."""
        self._view = view
        self._nodes = {node.name: node for node in view.graph_def.node}

    def of(self, reference: str) -> tuple[int | None, ...] | None:
        """Return the shape with None for an unknown size, or None if the rank is unknown."""
        return self._view.tensor(reference.lstrip("^")).shape

    def constant(self, reference: str) -> np.ndarray | None:
        """Return the value if a Const makes it."""
        from tensorflow.python.framework import tensor_util

        node = self._nodes.get(reference.partition(":")[0])
        if node is None or node.op != "Const":
            return None
        return tensor_util.MakeNdarray(node.attr["value"].tensor)


Rule: TypeAlias = Callable[["NodeDef", Shapes], "list[NodeDef] | None"]

RULES: dict[str, Rule] = {}
"""Op → rule."""


def rule(op: str) -> Callable[[Rule], Rule]:
    """Register the rule for an op."""

    def register(function: Rule) -> Rule:
        RULES[op] = function
        return function

    return register


@rule("AddV2")
def add_v2(node: "NodeDef", shapes: Shapes) -> list["NodeDef"]:
    """Add: the same but for strings and for how gradients are grouped."""
    return [_like(node, "Add", "T")]


@rule("SelectV2")
def select_v2(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Select, where nothing is broadcast."""
    first, *others = [shapes.of(source) for source in node.input]
    if first is None or None in first or any(shape != first for shape in others):
        return None
    return [_like(node, "Select", "T")]


@rule("BatchMatMulV2")
def batch_mat_mul_v2(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """BatchMatMul, where the leading axes are equal and so nothing is broadcast."""
    left, right = (shapes.of(source) for source in node.input)
    if left is None or right is None or len(left) != len(right):
        return None
    if left[:-2] != right[:-2] or left[:-2].count(None) > 1:
        return None
    return [_like(node, "BatchMatMul", "T", "adj_x", "adj_y")]


@rule("FusedBatchNormV3")
def fused_batch_norm_v3(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """FusedBatchNorm: the third version adds an output and a type, both for training."""
    if node.attr["is_training"].b or node.attr["data_format"].s not in (b"NHWC", b"NCHW"):
        return None
    return [_like(node, "FusedBatchNorm", "T", "epsilon", "data_format", "is_training")]


@rule("LeakyRelu")
def leaky_relu(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """max(x, αx), which is the same for 0 ≤ α ≤ 1."""
    alpha, source = node.attr["alpha"].f, node.input[0]
    if not 0 <= alpha <= 1:
        return None
    dtype = node.attr["T"].type
    scale = _const(f"{node.name}/alpha", np.array(alpha), dtype)
    scaled = _new(f"{node.name}/scaled", "Mul", [source, scale.name], T=dtype)
    return [scale, scaled, _new(node.name, "Maximum", [source, scaled.name], T=dtype)]


@rule("DataFormatVecPermute")
def data_format_vec_permute(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """A gather with constant indices, for a vector of one entry an axis."""
    source, target = node.attr["src_format"].s.decode(), node.attr["dst_format"].s.decode()
    if shapes.of(node.input[0]) != (len(source),) or sorted(source) != sorted(target):
        return None
    indices = np.array([source.index(letter) for letter in target])
    return _gather(node, indices)


def _gather(node: "NodeDef", indices: np.ndarray) -> list["NodeDef"]:
    from tensorflow.core.framework import types_pb2

    index = _const(f"{node.name}/indices", indices, types_pb2.DT_INT32)
    gather = _new(
        node.name,
        "Gather",
        [node.input[0], index.name],
        Tparams=node.attr["T"].type,
        Tindices=types_pb2.DT_INT32,
    )
    return [index, gather]


def _like(node: "NodeDef", op: str, *attributes: str) -> "NodeDef":
    """Return a node with another op, the same name and inputs, and just these attributes."""
    result = type(node)(name=node.name, op=op, input=node.input)
    for name in attributes:
        result.attr[name].CopyFrom(node.attr[name])
    return result


def _new(name: str, op: str, inputs: list[str], **types: int) -> "NodeDef":
    from tensorflow.core.framework import node_def_pb2

    node = node_def_pb2.NodeDef(name=name, op=op, input=inputs)
    for attribute, code in types.items():
        node.attr[attribute].type = code
    return node


def _const(name: str, value: np.ndarray, dtype: int) -> "NodeDef":
    from tensorflow.python.framework import tensor_util

    node = _new(name, "Const", [], dtype=dtype)
    proto = tensor_util.make_tensor_proto(value, dtype=dtype)
    node.attr["value"].tensor.CopyFrom(proto)
    return node
