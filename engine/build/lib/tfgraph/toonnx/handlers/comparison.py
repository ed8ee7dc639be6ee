"""Comparisons that are exact for every dtype, and false for NaN; and the larger of two.

tf2onnx compares floats as int32 below opset 11, and integers as float32.
"""

from tfgraph.toonnx.handlers.selection import chosen
from tfgraph.toonnx.handlers.writer import FLOATS, INT32, INT64, ML, SMALL, STRING, Writer, handler


def equal(write: Writer, one: str, other: str, dtype: int) -> str:
    """Return whether two tensors are equal."""
    if dtype in FLOATS and write.opset < 11:  # Equal takes integers only
        apart = write.add("Or", write.add("Less", one, other), write.add("Greater", one, other))
        nan = write.add("Or", write.add("IsNaN", one), write.add("IsNaN", other))
        return write.add("Not", write.add("Or", apart, nan))
    if dtype in SMALL:
        one, other = write.cast(one, INT32), write.cast(other, INT32)
    return write.add("Equal", one, other)


@handler("Equal", "NotEqual")
def equality(write: Writer) -> str:
    """Equal, or Not of it."""
    one, other = write.inputs
    if write.dtype() == STRING:
        same = _equal_texts(write)
    elif write.attribute("incompatible_shape_error", 1):
        same = equal(write, one, other, write.dtype())
    else:
        raise ValueError("it also compares what does not fit together")
    return same if write.op == "Equal" else write.add("Not", same)


def _equal_texts(write: Writer) -> str:
    """Return where a text is the one that a constant holds: no opset that is written has more."""
    for place in (0, 1):
        value = write.value(place)
        if value is not None and value.size == 1:
            (text,) = value.ravel()
            key = text.decode() if isinstance(text, bytes) else str(text)
            found = write.add(
                "LabelEncoder",
                write.inputs[1 - place],
                domain=ML,
                keys_strings=[key],
                values_int64s=[1],
                default_int64=0,
            )
            return write.add("Equal", found, write.constant(1, INT64))
    raise ValueError("ONNX compares texts from opset 19 on, except with one constant")


@handler("Greater", "Less", "GreaterEqual", "LessEqual")
def order(write: Writer) -> str:
    """Greater or Less, and for the others: or equal, which NaN is not."""
    dtype, (one, other) = write.dtype(), write.inputs
    if dtype in {INT32, *SMALL}:  # tf2onnx makes int64 of a loop's counter afterwards
        dtype = INT64
        one, other = (write.add("Cast", each, to=INT64) for each in (one, other))
    if not write.op.endswith("Equal"):
        return write.add(write.op, one, other)
    if write.opset >= 12:
        return write.add(write.op.replace("Equal", "OrEqual"), one, other)
    strict = write.add(write.op.removesuffix("Equal"), one, other)
    return write.add("Or", strict, equal(write, one, other, dtype))


@handler("Maximum", "Minimum")
def larger(write: Writer) -> str:
    """Max or Min; below opset 12, which have floats alone, what a comparison chooses."""
    dtype, small = write.dtype(), write.dtype() in SMALL
    one, other = (write.cast(each, INT32 if small else dtype) for each in write.inputs)
    name = "Max" if write.op == "Maximum" else "Min"
    if dtype in FLOATS or write.opset >= 12:
        found = write.add(name, one, other)
    else:
        first = write.add("Greater" if name == "Max" else "Less", one, other)
        found = chosen(write, first, one, other, INT32 if small else dtype)
    return write.add("Cast", found, to=dtype) if small else found


@handler("ClipByValue")
def clip(write: Writer) -> str:
    """Min, then Max: where the limits are crossed, the lower one counts."""
    value, low, high = write.inputs
    if write.dtype() not in FLOATS and write.opset < 12:
        raise ValueError("integers are clipped from opset 12 on")
    return write.add("Max", write.add("Min", value, high), low)
