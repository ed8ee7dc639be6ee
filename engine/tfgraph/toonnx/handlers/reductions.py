"""Sums along axes, and counts of the smaller values."""

import numpy as np

from tfgraph.toonnx.handlers.selection import unsqueezed
from tfgraph.toonnx.handlers.writer import FLOAT, INT32, INT64, STRING, Writer, handler


@handler("EuclideanNorm")
def euclidean_norm(write: Writer) -> str:
    """Write ReduceL2, or the absolute value if it reduces no axis."""
    (x, _), axes = write.inputs, write.value(1)
    if axes is None:
        raise ValueError("its axes are computed")
    if not axes.size:
        return write.add("Abs", x)
    keep, rank = int(bool(write.attribute("keep_dims", 0))), write.rank(0)
    wanted = [int(axis) for axis in axes.ravel()]
    if write.opset >= 18:
        return write.add("ReduceL2", x, write.constant(wanted, INT64), keepdims=keep)
    if rank is None and min(wanted) < 0:
        raise ValueError("the rank of what it adds up is not known")
    return write.add("ReduceL2", x, axes=[axis % (rank or 99) for axis in wanted], keepdims=keep)


@handler("Bucketize")
def bucketize(write: Writer) -> str:
    """Count the boundaries that are not above a number, which are all of them for NaN."""
    bounds = np.asarray(write.attribute("boundaries", []), np.float32)
    rank = write.rank(0)
    if rank is None:
        raise ValueError("the rank of its input is not known")
    spread = unsqueezed(write, write.cast(write.inputs[0], FLOAT), rank)
    above = write.add("Less", spread, write.constant(bounds, FLOAT))
    count = write.reduced("ReduceSum", write.add("Cast", above, to=INT32), rank)
    return write.add("Sub", write.constant(len(bounds), INT32), count)


@handler("Print")
def printed(write: Writer) -> str:
    """Pass the input on, without printing."""
    return write.add("Identity", write.inputs[0])


@handler("LowerBound", "UpperBound")
def bound(write: Writer) -> str:
    """Count the sorted numbers that are below a value, or not above it."""
    known, values = write.inputs
    if write.rank(0) != 2 or write.rank(1) != 2 or write.dtype(0) == STRING:
        raise ValueError("its inputs are not of rank 2")
    one, other = unsqueezed(write, values, 2), unsqueezed(write, known, 1)
    if write.op == "LowerBound":
        below = write.add("Less", other, one)
    else:
        below = write.add("Not", write.add("Less", one, other))
    count = write.reduced("ReduceSum", write.add("Cast", below, to=INT32), 2)
    return write.cast(count, write.output_dtype())
