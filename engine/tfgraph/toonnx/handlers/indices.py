"""Positions in tensors: scatters that add up repeated indices, slices, and the largest values."""

import numpy as np

from tfgraph.toonnx.handlers.writer import (
    DOUBLE,
    FLOAT,
    FLOATS,
    INT32,
    INT64,
    SMALL,
    Writer,
    handler,
)

_END = np.iinfo(np.int64).max
_LARGEST = np.iinfo(np.int32).max


@handler("ScatterNd")
def scatter(write: Writer) -> str:
    """Add all updates to zeros, even those of one index. ONNX adds them from opset 16 on."""
    if write.attribute("bad_indices_policy", "") == "IGNORE":
        raise ValueError("it leaves out indices that are out of range")
    indices, updates, shape = write.inputs
    dtype = write.dtype(1)
    places = write.cast(indices, INT64)
    zeros = write.add("Expand", write.constant(0, dtype), write.cast(shape, INT64))
    if write.opset >= 16:
        return write.add("ScatterND", zeros, places, updates, reduction="add")
    if write.opset < 11:
        raise ValueError("ONNX scatters from opset 11 on")
    value = write.value(0)
    if value is not None and _distinct(value):
        return write.add("ScatterND", zeros, places, updates)
    raise ValueError("updates of one place are added up from opset 16 on")


def _distinct(indices: np.ndarray) -> bool:
    rows = indices.reshape(-1, indices.shape[-1])
    return len(np.unique(rows, axis=0)) == len(rows)


@handler("GatherNd")
def gather(write: Writer) -> None:
    """Use tf2onnx's way, unless indices out of range have a meaning."""
    if write.attribute("bad_indices_policy", "") == "IGNORE":
        raise ValueError("it gives zeros for indices that are out of range")
    write.theirs()


@handler("Slice")
def slice_of(write: Writer) -> str | None:
    """Take a computed size of -1 as "to the end", even if the slice does not begin at 0."""
    if write.opset < 10 or all(write.value(place) is not None for place in (1, 2)):
        write.theirs()
        return None
    tensor, begin, size = write.inputs
    begin, size = write.cast(begin, INT64), write.cast(size, INT64)
    to_end = write.add("Less", size, write.constant(0, INT64))
    end = write.add("Where", to_end, write.constant(_END, INT64), write.add("Add", begin, size))
    return write.add("Slice", tensor, begin, end)


@handler("StridedSlice")
def strided_slice(write: Writer) -> None:
    """Use tf2onnx's way, after two corrections.

    tf2onnx takes an end of 0 after a negative begin for the end of the axis. With a negative step,
    onnxruntime takes the largest integer for the first element.
    """
    begin, end, step = (write.value(place) for place in (1, 2, 3))
    if begin is not None and end is not None and step is not None:
        far = (step < 0) & (end >= _LARGEST)
        if far.any():
            write.replaced(2, write.constant(np.where(far, _LARGEST - 1, end), write.dtype(2)))
        masks = [write.attribute(f"{kind}_mask", 0) for kind in ("begin", "end", "shrink_axis")]
        free = np.array(
            [not any(mask >> place & 1 for mask in masks) for place in range(len(begin))]
        )
        empty = free & (begin < 0) & (end == 0) & (step > 0)
        if empty.any():
            write.replaced(1, write.constant(np.where(empty, 0, begin), write.dtype(1)))
    write.theirs()


@handler("TopKV2")
def largest(write: Writer) -> list[str]:
    """Write TopK in a dtype that can represent the numbers and that the opset supports."""
    x, count = write.inputs
    dtype = write.dtype()
    held = _ranked(dtype, write.opset)
    value = write.value(1)
    x = write.cast(x, held)
    if write.opset >= 10:
        count = write.add("Reshape", write.cast(count, INT64), write.constant([1], INT64))
        values, places = write.add_many("TopK", x, count, count=2)
    elif value is None:
        raise ValueError("how many it takes is computed, which is possible from opset 10 on")
    else:
        values, places = write.add_many("TopK", x, count=2, k=int(value))
    values = values if held == dtype else write.add("Cast", values, to=dtype)
    return [
        values,
        places if write.output_dtype(1) == INT64 else write.add("Cast", places, to=INT32),
    ]


def _ranked(dtype: int, opset: int) -> int:
    """Return the dtype in which numbers are ranked."""
    if dtype in FLOATS:
        return dtype
    if dtype in SMALL:
        return INT32 if opset >= 11 else FLOAT
    if opset >= 11:
        return dtype
    if dtype == INT32:
        return DOUBLE
    raise ValueError("integers of 64 bits are ranked from opset 11 on")
