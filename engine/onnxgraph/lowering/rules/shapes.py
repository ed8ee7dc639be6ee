"""Shapes, slices and padding: attributes that became inputs, and new options."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnxgraph.lowering.node_rewriter import NodeRewriter, NotLowered
from onnxgraph.lowering.widened_ops import keep

LAST = 2**63 - 1


def shape_part(node: NodeRewriter) -> None:
    """Shape (15) of some axes: take a slice of the shape."""
    start, end = node.attribute("start", 0), node.attribute("end", LAST)
    if (start, end) == (0, LAST):
        return node.give("Shape", node.input(0))
    return node.give("Slice", node.op("Shape", node.input(0)), [start], [end], [0])


def reshape(node: NodeRewriter) -> None:
    """Reshape (14) with allowzero: in older opsets a 0 in a constant shape copies a dim."""
    target = node.constant(1)
    if node.attribute("allowzero", 0) and target is not None and 0 in target:
        raise NotLowered("its shape holds a 0 that is meant (allowzero); remove the empty tensor")
    if node.attribute("allowzero", 0) and target is None:
        if 0 in (node.scope.shape(node.input(0)) or []):
            raise NotLowered("it shapes an empty tensor (allowzero); remove that")
        node.notes.append("its shape is computed: right for all but empty tensors")
    node.give("Reshape", node.input(0), node.input(1))


def trilu(node: NodeRewriter) -> None:
    """Trilu (14): Where the row is above (or below) the column, computed from two ranges."""
    x, shape = node.input(0), node.op("Shape", node.input(0))
    shift = node.input(1) or np.array(0, np.int64)
    rows, columns = (node.op("Squeeze", node.op("Gather", shape, [i]), [0]) for i in (-2, -1))
    zero, one = np.array(0, np.int64), np.array(1, np.int64)
    row = node.op("Unsqueeze", node.op("Range", zero, rows, one), [1])
    column = node.op("Range", zero, columns, one)
    edge = node.op("Add", row, shift)
    order = (column, edge) if node.attribute("upper", 1) else (edge, column)
    kept = node.op("GreaterOrEqual", *order)
    nothing = np.zeros((), helper.tensor_dtype_to_np_dtype(node.dtype() or 1))
    node.give("Where", kept, x, nothing)


def wrap(node: NodeRewriter) -> None:
    """Pad (19) with wrap: take rows from the other end, along each axis."""
    if node.attribute("mode", "constant") != "wrap":
        return keep(node)
    data, last = node.input(0), node.input(0)
    for axis, (begin, end) in _padding(node).items():
        size = node.size(axis)
        data = node.op("Gather", data, np.arange(-begin, size + end) % size, axis=axis)
    if data == last:
        return node.give("Identity", data)
    node.made[-1].output[0] = node.output(0)
    return None


def pad_of_axes(node: NodeRewriter) -> None:
    """Pad (18) of some axes: pad the other axes by zero."""
    if not node.input(3):
        return keep(node)
    pads = np.zeros((2, node.rank()), np.int64)
    for axis, padding in _padding(node).items():
        pads[:, axis] = padding
    value = [node.input(2)] if node.input(2) else []
    return node.give("Pad", node.input(0), pads.ravel(), *value, **node.attributes())


def _padding(node: NodeRewriter) -> dict[int, list[int]]:
    """Return axis to (begin, end), for the axes that a Pad names."""
    pads = node.known(1, "pads").reshape(2, -1)
    axes = node.known(3, "axes").ravel().tolist() if node.input(3) else range(pads.shape[1])
    rank = node.rank()
    return {axis % rank: pads[:, n].tolist() for n, axis in enumerate(axes)}


def pad_to_attributes(node: NodeRewriter) -> None:
    """Pad (11): amounts and value were attributes, and the data were floats."""
    pads = node.known(1, "pads").ravel().tolist()
    value = float(node.known(2, "value").ravel()[0]) if node.input(2) else 0.0
    attributes = {"pads": pads, "value": value, **node.attributes()}
    dtype = node.dtype()
    if dtype in (onnx.TensorProto.INT32, onnx.TensorProto.UINT8, onnx.TensorProto.INT8):
        exact = node.cast(node.input(0), onnx.TensorProto.DOUBLE)
        return node.give("Cast", node.op("Pad", exact, **attributes), to=dtype)
    if dtype == onnx.TensorProto.INT64:
        raise NotLowered("it pads int64, which Pad takes only from opset 11 on; pad it as int32")
    return node.give("Pad", node.input(0), **attributes)


def slice_axes(node: NodeRewriter) -> None:
    """Slice (11): negative axes count from the front."""
    if not node.input(3):
        return keep(node)
    axes = node.known(3, "axes")
    if axes.min(initial=0) >= 0:
        return keep(node)
    counted = (axes % node.rank()).astype(axes.dtype)
    steps = [node.input(4)] if node.input(4) else []
    return node.give("Slice", *node.proto.input[:3], counted, *steps)


def slice_to_attributes(node: NodeRewriter) -> None:
    """Slice (10): starts and ends were attributes. Steps become a Gather of the rows."""
    starts, ends = (
        node.known(i, what).ravel().tolist() for i, what in ((1, "starts"), (2, "ends"))
    )
    axes = node.known(3, "axes").ravel().tolist() if node.input(3) else list(range(len(starts)))
    steps = node.known(4, "steps").ravel().tolist() if node.input(4) else [1] * len(starts)
    if set(steps) == {1}:
        return node.give("Slice", node.input(0), axes=axes, starts=starts, ends=ends)
    data = node.input(0)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = node.size(axis)
        end = None if step < 0 and end < -size else end
        data = node.op("Gather", data, np.arange(size)[start:end:step], axis=axis)
    node.made[-1].output[0] = node.output(0)
    return None


def range_by_counting(node: NodeRewriter) -> None:
    """Range (11) of integers with a constant step: the positions in a tensor of ones."""
    known = node.scope.value(node.output(0))
    if known is not None:
        return node.give("Constant", value=numpy_helper.from_array(known))
    if node.dtype() not in (onnx.TensorProto.INT64, onnx.TensorProto.INT32):
        raise NotLowered("it is no range of integers; make it of int64, with a Cast behind it")
    step = int(node.known(2, "step"))
    start, limit = (node.cast(node.input(i), onnx.TensorProto.INT64) for i in (0, 1))
    past = np.array(step - 1 if step > 0 else step + 1, np.int64)
    span = node.op("Add", node.op("Sub", limit, start), past)
    count = node.op("Div", span, np.array(step, np.int64))
    zero = np.array(0, np.int64)
    count = node.op("Where", node.op("Less", count, zero), zero, count)
    one = helper.make_tensor("one", onnx.TensorProto.INT64, [1], [1])
    ones = node.op("ConstantOfShape", node.op("Unsqueeze", count, axes=[0]), value=one)
    places = node.op("Squeeze", node.op("NonZero", ones), axes=[0])
    values = node.op("Add", node.op("Mul", places, np.array(step, np.int64)), start)
    return node.give("Cast", values, to=node.dtype())


def range_of_halves(node: NodeRewriter) -> None:
    """Range (27) of float16: add up in float32, as stash_type states."""
    if node.dtype() != onnx.TensorProto.FLOAT16 or node.attribute("stash_type", 1) != 1:
        return keep(node)
    single = [node.cast(name, onnx.TensorProto.FLOAT) for name in node.proto.input]
    return node.give("Cast", node.op("Range", *single), to=node.dtype())


RULES = {
    ("Shape", 15): shape_part,
    ("Reshape", 14): reshape,
    ("Trilu", 14): trilu,
    ("Pad", 19): wrap,
    ("Pad", 18): pad_of_axes,
    ("Pad", 11): pad_to_attributes,
    ("Slice", 11): slice_axes,
    ("Slice", 10): slice_to_attributes,
    ("Range", 27): range_of_halves,
    ("Range", 11): range_by_counting,
}
