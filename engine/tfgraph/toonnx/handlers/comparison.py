"""Comparisons that are exact for every dtype and false for NaN, and the larger of two numbers.

tf2onnx instead compares floats as int32 below opset 11, and integers as float32.
"""

from tfgraph.toonnx.handlers.selection import chosen
from tfgraph.toonnx.handlers.writer import FLOATS, INT32, INT64, ML, SMALL, STRING, Writer, handler


def equal(write: Writer, one: str, other: str, dtype: int) -> str:
    """Return a mask of the elements that are equal in two tensors."""
    if dtype in FLOATS and write.opset < 11:  # Equal takes only integers there
        apart = write.add("Or", write.add("Less", one, other), write.add("Greater", one, other))
        nan = write.add("Or", write.add("IsNaN", one), write.add("IsNaN", other))
        return write.add("Not", write.add("Or", apart, nan))
    if dtype in SMALL:
        one, other = write.cast(one, INT32), write.cast(other, INT32)
    return write.add("Equal", one, other)


@handler("Equal", "NotEqual")
def equality(write: Writer) -> str:
    """Write Equal, or Not of it."""
    one, other = write.inputs
    if write.dtype() == STRING:
        same = _equal_texts(write)
    elif write.attribute("incompatible_shape_error", 1):
        same = equal(write, one, other, write.dtype())
    else:
        raise ValueError("it also compares what does not fit together")
    return same if write.op == "Equal" else write.add("Not", same)


def _equal_texts(write: Writer) -> str:
    """Return where a string equals that of a constant, which is all that these opsets support."""
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
    """Write Greater or Less. For the others add "or equal", which is false for NaN."""
    dtype, (one, other) = write.dtype(), write.inputs
    if dtype in {INT32, *SMALL}:  # tf2onnx later makes a loop's counter int64
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
    """Write Max or Min. Below opset 12 they take only floats, so a comparison chooses there."""
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
    """Write Min, then Max, so that the lower limit wins if the limits are crossed."""
    value, low, high = write.inputs
    if write.dtype() not in FLOATS and write.opset < 12:
        raise ValueError("integers are clipped from opset 12 on")
    return write.add("Max", write.add("Min", value, high), low)
