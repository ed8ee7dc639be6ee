"""Picking and placing: negative indices (only since opset 11), TopK, ArgMax, Scatter, RoiAlign."""

import numpy as np
from onnx import TensorProto, helper

from onnxgraph.lowering.node_rewriter import NodeRewriter, NotLowered
from onnxgraph.lowering.widened_ops import keep


def gather(node: NodeRewriter) -> None:
    """Gather (11): make negative indices count from the front, also those computed at run time."""
    axis = node.attribute("axis", 0)
    indices = _from_the_front(node, axis)
    node.give("Gather", node.input(0), indices, axis=axis)


def scatter(node: NodeRewriter) -> None:
    """ScatterElements (11): it was called Scatter, and its indices counted from the front."""
    axis = node.attribute("axis", 0)
    axis = axis + node.rank() if axis < 0 else axis
    indices = _from_the_front(node, axis)
    node.give("Scatter", node.input(0), indices, node.input(2), axis=axis)


def _from_the_front(node: NodeRewriter, axis: int) -> str:
    """Return the second input, with the size of the axis added to negative values."""
    indices, known = node.input(1), node.constant(1)
    if known is not None and known.min(initial=0) >= 0:
        return indices
    dtype = node.dtype(1) or TensorProto.INT64
    shape = node.op("Shape", node.input(0))
    axis = axis + node.rank() if axis < 0 else axis
    size = node.op("Squeeze", node.op("Gather", shape, [axis], axis=0), axes=[0])
    size = size if dtype == TensorProto.INT64 else node.cast(size, dtype)
    zero = np.zeros((), helper.tensor_dtype_to_np_dtype(dtype))
    below = node.op("Less", indices, zero)
    return node.op("Where", below, node.op("Add", indices, size), indices)


def one_hot(node: NodeRewriter) -> None:
    """OneHot (11): as Gather, but -1 was always allowed for its last axis."""
    axis = node.attribute("axis", -1)
    axis = axis + node.rank() + 1 if axis < -1 else axis
    depth = node.op("Reshape", node.cast(node.input(1), TensorProto.INT64), [])
    indices = node.cast(node.input(0), TensorProto.INT64)
    zero = np.array(0, np.int64)
    # An index that is still negative is out of range. It must not count from the end once more.
    for other in (node.op("Add", indices, depth), depth):
        indices = node.op("Where", node.op("Less", indices, zero), other, indices)
    node.give("OneHot", indices, depth, node.input(2), axis=axis)


def last_of_equals(node: NodeRewriter) -> None:
    """ArgMax, ArgMin (12) with select_last_index: find the first one in the reversed axis."""
    if not node.attribute("select_last_index", 0):
        return keep(node)
    axis = node.attribute("axis", 0)
    last = np.array(node.size(axis) - 1, np.int64)
    turned = node.op("Slice", node.input(0), [-1], [np.iinfo(np.int64).min], [axis], [-1])
    kept = {"axis": axis, "keepdims": node.attribute("keepdims", 1)}
    return node.give("Sub", last, node.op(node.proto.op_type, turned, **kept))


def top_k(node: NodeRewriter) -> None:
    """TopK (11): the smallest values are the largest of the negated ones, always sorted."""
    axis = node.attribute("axis", -1)
    axis = axis if axis >= -1 else axis + node.rank()
    floats = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
    if node.dtype() not in floats:
        raise NotLowered(
            "it sorts no floats, which TopK takes only from opset 11 on; cast to float32"
        )
    if node.attribute("largest", 1):
        return node.give("TopK", *node.proto.input, axis=axis)
    negated = node.op("Neg", node.input(0))
    values = node.scope.fresh_name(f"{node.label}/values")
    node.give("TopK", negated, node.input(1), axis=axis)
    node.made[-1].output[0] = values
    node.give("Neg", values, place=0)
    del node.made[-1].output[1:]
    return None


def top_k_to_attribute(node: NodeRewriter) -> None:
    """TopK (10): k was an attribute."""
    k = int(node.known(1, "k").ravel()[0])
    node.give("TopK", node.input(0), k=k, **node.attributes())


def roi_align(node: NodeRewriter) -> None:
    """RoiAlign (16): older versions did not shift pixels by a half."""
    if node.attribute("coordinate_transformation_mode", "half_pixel") != "output_half_pixel":
        raise NotLowered(
            "it shifts by half a pixel, as it can only from opset 16 on; export it with "
            "aligned=False"
        )
    keep(node, coordinate_transformation_mode=None)


def no_new_reduction(node: NodeRewriter) -> None:
    """ScatterElements, ScatterND (18): the reductions max and min are new."""
    reduction = node.attribute("reduction", "none")
    if reduction in ("max", "min"):
        raise NotLowered(f"it has reduction={reduction}, which the op takes only from opset 18 on")
    keep(node)


RULES = {
    ("Gather", 11): gather,
    ("ScatterElements", 11): scatter,
    ("OneHot", 11): one_hot,
    ("ArgMax", 12): last_of_equals,
    ("ArgMin", 12): last_of_equals,
    ("TopK", 11): top_k,
    ("TopK", 10): top_k_to_attribute,
    ("RoiAlign", 16): roi_align,
    ("ScatterElements", 18): no_new_reduction,
    ("ScatterND", 18): no_new_reduction,
}
