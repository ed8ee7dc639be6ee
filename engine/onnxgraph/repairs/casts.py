"""Remove casts that change nothing: to the same type, or of sizes to another integer and back."""

from dataclasses import replace

import onnx
from onnx import TensorProto

from graphcore.copies import copy_of
from onnxgraph.editing.finishing import without_dead_parts
from onnxgraph.editing.proof import same
from onnxgraph.editing.result import Edited, edited
from onnxgraph.editing.rewire import move_readers
from onnxgraph.model.entry_check import checked
from onnxgraph.model.nodes import node_name, titled
from onnxgraph.model.value_info import inferred_graph
from onnxgraph.repairs.evidence import unchanged

_WIDE = (TensorProto.INT32, TensorProto.INT64, TensorProto.DOUBLE)
"""Types that hold every size of a dim, because no tensor in memory has a dim of 2³¹ elements."""

_SIZES_KEPT = {"Gather", "Slice", "Concat", "Squeeze", "Unsqueeze", "Identity"}


@checked
def remove_shape_casts(model: onnx.ModelProto) -> Edited:
    """Remove casts to the type that a tensor already has, and pairs of casts of shapes.

    The evidence is the inferred types, and that the value comes from Shape: its numbers are the
    same in int32, int64 and float64. The result is proven at two batch sizes.
    """
    after = copy_of(model)
    inferred = inferred_graph(after)
    values = (*inferred.value_info, *inferred.input, *inferred.output, *inferred.initializer)
    types = {value.name: _elem_type(value) for value in values}
    makers = {name: node for node in after.graph.node for name in node.output}
    outputs = {value.name for value in after.graph.output}
    changes, names = [], []
    for node in after.graph.node:
        if node.op_type != "Cast" or node.output[0] in outputs:
            continue
        to, source = node.attribute[0].i, node.input[0]
        inner = makers.get(source)
        if types.get(source) == to:
            changes.append(f"{titled(node)} removed: it casts {_name(to)} to itself")
        elif inner is not None and inner.op_type == "Cast" and _is_pair(inner, to, types, makers):
            source = inner.input[0]
            changes.append(
                f"{titled(inner)} and {titled(node)} removed: a shape is cast there and back"
            )
            names.append(node_name(inner))
        else:
            continue
        names.append(node_name(node))
        move_readers(after.graph, node.output[0], source)
    if not changes:
        return unchanged(model, "every Cast changes the type of its input")
    result = edited(model, without_dead_parts(after), changes, names)
    return replace(result, reports=same(model, result.model))


def _is_pair(
    inner: onnx.NodeProto, to: int, types: dict[str, int], makers: dict[str, onnx.NodeProto]
) -> bool:
    """Whether a cast back to `to` undoes the inner one, on sizes."""
    between = inner.attribute[0].i
    there = types.get(inner.input[0]) == to and {between, to} <= set(_WIDE)
    return there and _is_shape(inner.input[0], makers)


def _is_shape(name: str, makers: dict[str, onnx.NodeProto]) -> bool:
    node = makers.get(name)
    if node is None:
        return False
    first = bool(node.input) and node.op_type in _SIZES_KEPT
    return node.op_type == "Shape" or (first and _is_shape(node.input[0], makers))


def _elem_type(value: "onnx.ValueInfoProto | onnx.TensorProto") -> int:
    if isinstance(value, onnx.TensorProto):
        return value.data_type
    return value.type.tensor_type.elem_type


def _name(elem_type: int) -> str:
    return TensorProto.DataType.Name(elem_type).lower()
