"""Functions that ONNX lacks, written with others: exact near zero, at infinity and for NaN."""

import math

import numpy as np
import onnx

from tfgraph.toonnx.handlers.comparison import equal
from tfgraph.toonnx.handlers.division import unless_zero
from tfgraph.toonnx.handlers.selection import chosen
from tfgraph.toonnx.handlers.writer import Writer, handler


@handler("Erfc")
def erfc(write: Writer) -> str:
    """Compute 1 - Erf(x), which is off by at most one rounding of 1."""
    (x,) = write.inputs
    return write.add("Sub", write.constant(1, write.dtype()), write.add("Erf", x))


@handler("Expm1")
def expm1(write: Writer) -> str:
    """Compute exp(x) - 1 as tanh(x / 2) · (exp(x) + 1), which loses no digits near zero."""
    (x,) = write.inputs
    dtype = write.dtype()
    half = write.add("Tanh", write.add("Mul", x, write.constant(0.5, dtype)))
    return write.add("Mul", half, write.add("Add", write.add("Exp", x), write.constant(1, dtype)))


@handler("Log")
def log(write: Writer) -> str:
    """Write Log of any float. tf2onnx computes float64 as float32, where small numbers are 0."""
    return write.add("Log", *write.inputs)


@handler("Log1p")
def log1p(write: Writer) -> str:
    """Compute log(1 + x)."""
    return _log1p(write, write.inputs[0], write.dtype())


def _log1p(write: Writer, x: str, dtype: int) -> str:
    """Return log(1 + x) as log(u) · x / (u - 1) with u = 1 + x, where the rounding of u cancels.

    The formula is W. Kahan's.
    """
    one, zero = write.constant(1, dtype), write.constant(0, dtype)
    u = write.add("Add", x, one)
    rounded, log = write.add("Sub", u, one), write.add("Log", u)
    mended = write.add("Mul", log, write.add("Div", x, rounded))
    exact = chosen(write, equal(write, rounded, x, dtype), log, mended, dtype)
    return chosen(write, equal(write, rounded, zero, dtype), x, exact, dtype)


@handler("Xlogy", "Xlog1py")
def xlogy(write: Writer) -> str:
    """Compute x · log(y), but zero where x is zero."""
    x, y = write.inputs
    dtype = write.dtype()
    log = write.add("Log", y) if write.op == "Xlogy" else _log1p(write, y, dtype)
    return unless_zero(write, x, write.add("Mul", x, log), dtype)


@handler("IsFinite", "IsInf")
def finite(write: Writer) -> str:
    """Compare |x| with infinity. NaN is neither finite nor infinite."""
    (x,), dtype = write.inputs, write.dtype()
    if write.op == "IsInf":
        return _infinite(write, x, dtype)
    return write.add("Less", write.add("Abs", x), write.constant(math.inf, dtype))


@handler("Atan2")
def atan2(write: Writer) -> str:
    """Compute Atan of the quotient, plus or minus π where x is negative or -0."""
    y, x = write.inputs
    dtype = write.dtype()
    zero = write.constant(0, dtype)
    ratio = write.add("Div", y, x)
    none = write.add("And", equal(write, y, zero, dtype), equal(write, x, zero, dtype))
    ratio = chosen(write, none, y, ratio, dtype)
    infinite = write.add("And", _infinite(write, y, dtype), _infinite(write, x, dtype))
    signs = write.add("Mul", write.add("Sign", y), write.add("Sign", x))
    angle = write.add("Atan", chosen(write, infinite, signs, ratio, dtype))
    turn = chosen(
        write,
        _negative(write, y, zero),
        write.constant(-math.pi, dtype),
        write.constant(math.pi, dtype),
        dtype,
    )
    return chosen(write, _negative(write, x, zero), write.add("Add", angle, turn), angle, dtype)


def _infinite(write: Writer, x: str, dtype: int) -> str:
    most = np.finfo(onnx.helper.tensor_dtype_to_np_dtype(dtype)).max
    return write.add("Greater", write.add("Abs", x), write.constant(most, dtype))


def _negative(write: Writer, x: str, zero: str) -> str:
    """Return where a number is negative or -0, which has a negative reciprocal."""
    below = write.add("Less", x, zero)
    return write.add("Or", below, write.add("Less", write.add("Reciprocal", x), zero))
