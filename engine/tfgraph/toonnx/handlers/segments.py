"""Segments: add, multiply or compare the rows with the same segment number.

TensorFlow leaves out negative numbers, and defines the value of a segment without rows. tf2onnx
counts negative numbers from the end, and fills empty segments with NaN or infinity.
"""

import numpy as np
import onnx

from tfgraph.toonnx.handlers.selection import chosen
from tfgraph.toonnx.handlers.writer import FLOATS, INT64, Writer, handler


@handler("UnsortedSegmentSum", "UnsortedSegmentProd", "UnsortedSegmentMax", "UnsortedSegmentMin")
def unsorted(write: Writer) -> str:
    """Use tf2onnx's way with one more segment for negative numbers, which is removed again."""
    data, places, count = write.inputs
    dtype = write.dtype(0)
    places, count = write.cast(places, INT64), write.cast(count, INT64)
    negative = write.add("Less", places, write.constant(0, INT64))
    places = write.add("Where", negative, count, places)
    result = _without_last(write, write.op, data, places, count, dtype)
    if write.op.endswith(("Sum", "Prod")):
        return result
    kind = onnx.helper.tensor_dtype_to_np_dtype(dtype)
    limits = np.finfo(kind) if dtype in FLOATS else np.iinfo(kind)
    empty = limits.min if write.op.endswith("Max") else limits.max
    return _filled(write, result, _counts(write, places, count), empty)


@handler("SegmentMax", "SegmentMin")
def compared(write: Writer) -> str:
    """Use tf2onnx's way, but zero for a segment without rows."""
    data, places = write.inputs
    count = _number(write, places)
    result = write.theirs_for(write.op, [data, places], write.dtype(0))
    return _filled(write, result, _counts(write, write.cast(places, INT64), count), 0)


@handler("SegmentMean")
def mean(write: Writer) -> str:
    """Divide the sum by the count, with zero for a segment without rows."""
    data, places = write.inputs
    dtype = write.dtype(0)
    counts = _counts(write, write.cast(places, INT64), _number(write, places))
    least = write.constant(1, dtype)
    sums = write.theirs_for("SegmentSum", [data, places], dtype)
    divisor = write.add("Max", write.cast(counts, dtype), least)
    return write.add("Div", sums, _as_rows(write, divisor))


def _number(write: Writer, places: str) -> str:
    """Return the number of segments, if the segment numbers are sorted."""
    last = write.reduced("ReduceMax", write.cast(places, INT64), 0)
    return write.add("Add", last, write.constant(1, INT64))


def _counts(write: Writer, places: str, count: str) -> str:
    """Return the number of rows of each segment."""
    ones = write.add("Expand", write.constant(1, INT64), write.add("Shape", places))
    return _without_last(write, "UnsortedSegmentSum", ones, places, count, INT64)


def _without_last(write: Writer, op: str, data: str, places: str, count: str, dtype: int) -> str:
    """Return tf2onnx's segments without the additional one at `count`."""
    more = write.add("Add", count, write.constant(1, INT64))
    result = write.theirs_for(op, [data, places, more], dtype)
    end = write.add("Reshape", count, write.constant([1], INT64))
    zero = write.constant([0], INT64)
    return write.add("Slice", result, zero, end, zero)


def _filled(write: Writer, result: str, counts: str, value: float) -> str:
    """Return the result, with a value for the segments without rows."""
    dtype = write.dtype(0)
    none = write.add("Equal", _as_rows(write, counts), write.constant(0, INT64))
    return chosen(write, none, write.constant(value, dtype), result, dtype)


def _as_rows(write: Writer, counts: str) -> str:
    """Return one number per segment, in the rank of the data."""
    rank = write.rank(0)
    if rank is None:
        raise ValueError("the rank of its data is not known")
    return write.add("Reshape", counts, write.constant([-1] + [1] * (rank - 1), INT64))
