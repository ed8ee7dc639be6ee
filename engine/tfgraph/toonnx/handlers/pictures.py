"""Matrices and images: bands, saturation, and pools of integers."""

from tfgraph.toonnx.handlers.selection import chosen, counted
from tfgraph.toonnx.handlers.writer import FLOATS, INT32, INT64, Writer, handler


@handler("MatrixBandPart")
def band(write: Writer) -> str:
    """Select the band. tf2onnx multiplies by zeros instead, and NaN · 0 is NaN."""
    rank, dtype = write.rank(0), write.dtype(0)
    if rank is None:
        raise ValueError("the rank of its input is not known")
    x, lower, upper = write.inputs
    shape = write.add("Shape", x)
    row, column = (_places(write, shape, rank - back, back) for back in (2, 1))
    zero = write.constant(0, INT64)
    within = []
    for limit, distance in ((lower, (row, column)), (upper, (column, row))):
        most = write.cast(limit, INT64)
        far = write.add("Greater", write.add("Sub", *distance), most)
        limited = write.add("Not", write.add("Less", most, zero))
        within.append(write.add("Not", write.add("And", far, limited)))
    return chosen(write, write.add("And", *within), x, write.constant(0, dtype), dtype)


def _places(write: Writer, shape: str, axis: int, back: int) -> str:
    """Return 0, 1, … along an axis, as a column (`back` 2) or as a row."""
    size = write.add("Gather", shape, write.constant([axis], INT64))
    form = write.constant([-1, 1] if back == 2 else [1, -1], INT64)
    return write.add("Reshape", counted(write, size), form)


@handler("AdjustSaturation")
def saturated(write: Writer) -> str:
    """Scale each channel's distance to the largest one by the growth of the saturation."""
    x, factor = write.inputs
    dtype, rank = write.dtype(0), write.rank(0)
    if rank is None or dtype not in FLOATS:
        raise ValueError("its pictures are of unknown rank or no floats")
    zero, one = write.constant(0, dtype), write.constant(1, dtype)
    shape = write.constant([0] * (rank - 1) + [1], INT64)
    most, least = (
        write.add("Reshape", write.reduced(f"Reduce{name}", x, rank - 1), shape)
        for name in ("Max", "Min")
    )
    bright = write.add("Greater", most, zero)
    spread = write.add("Sub", most, least)
    whole = chosen(write, bright, most, one, dtype)
    part = write.add("Mul", write.add("Div", spread, whole), write.cast(factor, dtype))
    part = write.add("Max", write.add("Min", part, one), zero)
    wide = write.add("Greater", spread, zero)
    growth = write.add(
        "Div", write.add("Mul", part, whole), chosen(write, wide, spread, one, dtype)
    )
    growth = chosen(write, bright, growth, zero, dtype)
    return write.add("Sub", most, write.add("Mul", write.add("Sub", most, x), growth))


@handler("MaxPool", "MaxPoolV2", "MaxPool3D")
def largest_nearby(write: Writer) -> None:
    """Use tf2onnx's way for floats, because it computes integers as float32."""
    if write.dtype(0) in {INT32, INT64}:
        raise ValueError("ONNX has pools of floats and of integers of 8 bits")
    write.theirs()
