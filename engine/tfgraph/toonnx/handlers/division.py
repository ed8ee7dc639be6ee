"""Quotients and remainders with the same signs as in TensorFlow, and quotients without NaN.

tf2onnx takes ONNX's Div of integers for the floor of the quotient, but Div rounds towards zero.
"""

from tfgraph.toonnx.handlers.comparison import equal
from tfgraph.toonnx.handlers.selection import chosen
from tfgraph.toonnx.handlers.writer import FLOATS, INT32, SMALL, Writer, handler


def _operands(write: Writer) -> tuple[str, str, int]:
    """Return both inputs, and the dtype in which they are divided."""
    dtype = INT32 if write.dtype() in SMALL else write.dtype()
    one, other = (write.cast(each, dtype) for each in write.inputs)
    return one, other, dtype


def _back(write: Writer, result: str) -> str:
    return write.add("Cast", result, to=write.dtype()) if write.dtype() in SMALL else result


def _cut_remainder(write: Writer, one: str, other: str, dtype: int) -> str:
    """Return the remainder with the sign of the dividend, as in C."""
    if write.opset >= 10:
        return write.add("Mod", one, other, fmod=1)
    if dtype in FLOATS:
        raise ValueError("remainders of floats are exact from opset 10 on")
    return write.add("Sub", one, write.add("Mul", write.add("Div", one, other), other))


def _apart(write: Writer, rest: str, divisor: str, dtype: int) -> str:
    """Return where a remainder is not zero and has another sign than the divisor."""
    zero = write.constant(0, dtype)
    negative = write.add("And", write.add("Less", rest, zero), write.add("Greater", divisor, zero))
    positive = write.add("And", write.add("Greater", rest, zero), write.add("Less", divisor, zero))
    return write.add("Or", negative, positive)


@handler("FloorDiv")
def floor_div(write: Writer) -> str:
    """Take the floor of the quotient: for integers one less if the remainder has the other sign."""
    one, other, dtype = _operands(write)
    quotient = write.add("Div", one, other)
    if dtype in FLOATS:
        return write.add("Floor", quotient)
    rest = write.add("Sub", one, write.add("Mul", quotient, other))
    less = write.add("Sub", quotient, write.constant(1, dtype))
    return _back(write, chosen(write, _apart(write, rest, other, dtype), less, quotient, dtype))


@handler("FloorMod")
def floor_mod(write: Writer) -> str:
    """Compute the remainder with the sign of the divisor, as in Python."""
    one, other, dtype = _operands(write)
    if dtype not in FLOATS and write.opset >= 10:
        return _back(write, write.add("Mod", one, other))
    rest = _cut_remainder(write, one, other, dtype)
    apart = _apart(write, rest, other, dtype)
    return _back(write, chosen(write, apart, write.add("Add", rest, other), rest, dtype))


@handler("Mod", "TruncateMod")
def truncate_mod(write: Writer) -> str:
    """Compute the remainder with the sign of the dividend."""
    one, other, dtype = _operands(write)
    return _back(write, _cut_remainder(write, one, other, dtype))


@handler("TruncateDiv")
def truncate_div(write: Writer) -> str:
    """Write Div, which rounds towards zero."""
    one, other, _ = _operands(write)
    return _back(write, write.add("Div", one, other))


def unless_zero(write: Writer, test: str, value: str, dtype: int) -> str:
    """Return a value, or zero where `test` is zero."""
    zero = write.constant(0, dtype)
    return chosen(write, equal(write, test, zero, dtype), zero, value, dtype)


@handler("DivNoNan", "MulNoNan")
def without_nan(write: Writer) -> str:
    """Return zero where the second number is zero, whatever the first one is."""
    one, other = write.inputs
    value = write.add("Div" if write.op == "DivNoNan" else "Mul", one, other)
    return unless_zero(write, other, value, write.dtype())


@handler("Xdivy")
def xdivy(write: Writer) -> str:
    """Compute x / y, but zero where x is zero."""
    x, y = write.inputs
    return unless_zero(write, x, write.add("Div", x, y), write.dtype())
