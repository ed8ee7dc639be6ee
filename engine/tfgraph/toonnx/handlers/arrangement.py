"""Slice, join and pad tensors, with computed sizes and repeated indices too."""

import numpy as np
import onnx

from tfgraph.toonnx.handlers.writer import DOUBLE, FLOATS, INT32, INT64, SMALL, Writer, handler


@handler("SplitV")
def split(write: Writer) -> list[str] | None:
    """Write Split, where a size of -1 means the rest, even of a size that is unknown."""
    sizes, axis = write.value(1), write.value(2)
    if sizes is None or axis is None:
        raise ValueError("its sizes are computed, and one of them may be -1")
    shape = write.shape(0)
    known = shape is not None and shape[int(axis)] >= 0
    if known or -1 not in sizes:
        write.theirs()
        return None
    if write.opset < 13:
        raise ValueError("what is left of an open size can be computed from opset 13 on")
    whole = write.add("Gather", write.add("Shape", write.inputs[0]), write.constant(axis, INT64))
    rest = write.add("Sub", whole, write.constant(sizes[sizes >= 0].sum(), INT64))
    asked = write.constant(sizes, INT64)
    open_ = write.add("Less", asked, write.constant(0, INT64))
    counts = write.add("Where", open_, rest, asked)
    return write.add_many("Split", write.inputs[0], counts, count=len(sizes), axis=int(axis))


@handler("DynamicStitch", "ParallelDynamicStitch")
def stitched(write: Writer) -> str:
    """Scatter all rows to their indices in order, so that the last row of an index wins."""
    if write.opset < 11:
        raise ValueError("ONNX scatters from opset 11 on")
    count = len(write.inputs) // 2
    if write.rank(0) is None or write.rank(count) is None:
        raise ValueError("the ranks of its inputs are not known")
    dims = write.rank(0) or 0
    rest = (write.rank(count) or 0) - dims
    flat, column = write.constant([-1], INT64), write.constant([-1, 1], INT64)
    joined = [write.add("Reshape", write.cast(i, INT64), flat) for i in write.inputs[:count]]
    places = joined[0] if count == 1 else write.add("Concat", *joined, axis=0)
    start, end = write.constant([dims], INT64), write.constant([dims + rest], INT64)
    sizes = write.add("Slice", write.add("Shape", write.inputs[count]), start, end)
    rows = write.add("Concat", flat, sizes, axis=0)
    data = [write.add("Reshape", each, rows) for each in write.inputs[count:]]
    values = data[0] if count == 1 else write.add("Concat", *data, axis=0)
    last = write.reduced("ReduceMax", places, 0)
    number = write.add("Reshape", write.add("Add", last, write.constant(1, INT64)), flat)
    zero = write.constant(0, write.dtype(count))
    whole = write.add("Expand", zero, write.add("Concat", number, sizes, axis=0))
    return write.add("ScatterND", whole, write.add("Reshape", places, column), values)


@handler("Reshape")
def reshaped(write: Writer) -> str | None:
    """Use tf2onnx's way, unless the result is empty: in ONNX a size of 0 means the input's size."""
    sizes = write.value(1)
    if 0 not in ((write.shape() or []) if sizes is None else sizes):
        write.theirs()
        return None
    zero = np.zeros(1, onnx.helper.tensor_dtype_to_np_dtype(write.dtype()))
    return write.add(
        "ConstantOfShape",
        write.cast(write.inputs[1], INT64),
        value=onnx.numpy_helper.from_array(zero),
    )


@handler("Pad", "PadV2", "MirrorPad")
def padded(write: Writer) -> str | None:
    """Use tf2onnx's way, but pad integers as float64 below opset 11, which pads only floats."""
    dtype = write.dtype(0)
    exact = dtype in FLOATS or (dtype in SMALL and write.op != "PadV2")
    if exact or write.opset >= 11:
        write.theirs()
        return None
    mode, sizes = write.attribute("mode", "constant").lower(), write.value(1)
    value = write.value(2) if write.op == "PadV2" else np.zeros(())
    known = sizes is not None and value is not None and float(np.float32(value)) == value
    if not known or mode == "symmetric" or dtype not in {INT32, *SMALL}:
        raise ValueError("integers are padded like this from opset 11 on")
    assert sizes is not None
    pads = [int(size) for size in sizes.T.ravel()]
    wide = write.cast(write.inputs[0], DOUBLE)
    return write.add(
        "Cast", write.add("Pad", wide, mode=mode, pads=pads, value=float(value or 0)), to=dtype
    )


@handler("InvertPermutation")
def inverted(write: Writer) -> str:
    """Find the positions of 0, 1, … with TopK."""
    if write.opset < 11:
        raise ValueError("ONNX sorts integers from opset 11 on")
    (x,) = write.inputs
    size = write.add("Shape", x)
    places = write.add_many("TopK", x, size, count=2, largest=0)[1]
    return write.cast(places, write.dtype())


@handler("BroadcastArgs")
def broadcast_shape(write: Writer) -> str:
    """Expand one tensor of this shape to the other shape, and return the shape of the result."""
    one, other = (write.cast(each, INT64) for each in write.inputs)
    shape = write.add("Shape", write.add("Expand", write.add("ConstantOfShape", one), other))
    return write.add("Cast", shape, to=write.dtype())


@handler("ResizeArea")
def by_area(write: Writer) -> None:
    """Refuse it, because ONNX resizes by area only from opset 18 on, and by other areas."""
    raise ValueError("ONNX has no such way to resize")
