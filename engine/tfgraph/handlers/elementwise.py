"""Elementwise arithmetic, with numpy's broadcasting."""

import functools
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import tensorflow as tf

from tfgraph.handlers.kernel_types import (
    ARITHMETIC,
    BRAINS,
    FLOATS,
    SIGNED,
    SINGLES,
    WIDE,
    scalar,
    spread,
    widened,
)
from tfgraph.handlers.registry import Node, constant, refusal, register

_UNARY: dict[str, tuple[Callable, Collection[tf.DType]]] = {
    "Ceil": (tf.math.ceil, FLOATS),
    "Floor": (tf.math.floor, FLOATS),
    "Round": (tf.math.round, FLOATS),
    "Sqrt": (tf.math.sqrt, BRAINS),
    "Reciprocal": (tf.math.reciprocal, FLOATS),
    "Exp": (tf.math.exp, FLOATS),
    "Log": (tf.math.log, BRAINS),
    "Sin": (tf.math.sin, FLOATS),
    "Cos": (tf.math.cos, FLOATS),
    "Tan": (tf.math.tan, SINGLES),
    "Asin": (tf.math.asin, SINGLES),
    "Acos": (tf.math.acos, SINGLES),
    "Atan": (tf.math.atan, SINGLES),
    "Sinh": (tf.math.sinh, SINGLES),
    "Cosh": (tf.math.cosh, SINGLES),
    "Asinh": (tf.math.asinh, SINGLES),
    "Acosh": (tf.math.acosh, SINGLES),
    "Atanh": (tf.math.atanh, SINGLES),
}
"""ONNX op → function, and the dtypes for which every TensorFlow has a kernel."""


def _register_unary(op: str, function: Callable, native: Collection[tf.DType]) -> None:
    @register(op)
    def handler(node: Node, data: tf.Tensor) -> tf.Tensor:
        return widened(function, native, data)

    handler.__doc__ = f"Compute {op} of every number."


for _op, (_function, _native) in _UNARY.items():
    _register_unary(_op, _function, _native)


@register("Abs")
def absolute(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Compute the absolute value. Unsigned integers stay as they are."""
    return tf.identity(data) if data.dtype.is_unsigned else widened(tf.math.abs, WIDE, data)


@register("Neg")
def negative(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Negate."""
    return widened(tf.math.negative, WIDE, data)


@register("Sign")
def sign(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Return −1, 0 or 1."""
    if data.dtype == tf.uint64:
        return tf.cast(tf.not_equal(tf.cast(data, tf.int64), 0), data.dtype)
    return widened(tf.math.sign, WIDE, data)


@register("Erf")
def erf(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Compute the error function. Integers, which ONNX allows, are computed in float64."""
    if data.dtype.is_floating:
        return widened(tf.math.erf, FLOATS, data)
    return tf.cast(tf.math.erf(tf.cast(data, tf.float64)), data.dtype)


def operands(node: Node, left: tf.Tensor, right: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return both sides, ready for numpy's broadcasting.

    Up to opset 6 the attribute `axis` says at which axis of the left side the right side's begin.
    """
    if node.since < 7 and "axis" in node.attrs and right.shape.rank:
        axis, rank = node.attrs["axis"], left.shape.rank
        trailing = rank - (axis + rank if axis < 0 else axis) - right.shape.rank
        for _ in range(trailing):
            right = tf.expand_dims(right, -1)
    return spread(left, right), spread(right, left)


@register("Add")
def add(node: Node, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Add. Integers wrap."""
    return widened(tf.add, SIGNED, *operands(node, left, right))


@register("Sub")
def subtract(node: Node, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Subtract. Integers wrap."""
    return widened(tf.subtract, ARITHMETIC, *operands(node, left, right))


@register("Mul")
def multiply(node: Node, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Multiply. Integers wrap."""
    return widened(tf.multiply, ARITHMETIC, *operands(node, left, right))


@register("Div")
def divide(node: Node, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Divide. The quotient of integers is rounded towards zero."""
    left, right = operands(node, left, right)
    if left.dtype.is_floating:
        return widened(tf.realdiv, BRAINS, left, right)
    return widened(tf.truncatediv, (ARITHMETIC - {tf.int8}) | {tf.uint64}, left, right)


@register("Mod")
def modulo(node: Node, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Return the remainder with the divisor's sign or, as in C, with the dividend's (`fmod`)."""
    if node.attrs.get("fmod", 0) and left.dtype != tf.uint64:
        return widened(tf.truncatemod, WIDE - {tf.float16}, left, right)
    if not left.dtype.is_floating:
        return widened(tf.math.floormod, (WIDE - {tf.float16}) | {tf.uint64}, left, right)
    return widened(_floored, SINGLES, left, right)


def _floored(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Return the floats' remainder with the divisor's sign.

    TensorFlow's own op differs between versions at infinities and zeros. Here a remainder of zero
    gets the divisor's sign, as in numpy.
    """
    rest = tf.truncatemod(left, right)
    zero = tf.zeros_like(rest)
    below = tf.less(right + zero, zero)
    moved = tf.where(tf.equal(rest < zero, below), rest, rest + right)
    return tf.where(tf.equal(rest, zero), tf.where(below, -zero, zero), moved)


@register("Pow")
def power(node: Node, base: tf.Tensor, exponent: tf.Tensor) -> tf.Tensor:
    """Raise to a power, in the base's dtype. The exponent may have another dtype."""
    base, exponent = operands(node, base, exponent)
    result, numbers = base.dtype, constant(exponent)
    if result.is_floating or exponent.dtype.is_floating:
        if result.is_floating and _holds(result, exponent.dtype, numbers):
            exponent = tf.cast(exponent, result) if numbers is None else scalar(numbers, result)
            return widened(tf.pow, FLOATS, base, exponent)
        raised = tf.pow(tf.cast(base, tf.float64), tf.cast(exponent, tf.float64))
        return tf.cast(raised, result)
    wide = tf.int32 if base.dtype == exponent.dtype == tf.int32 else tf.int64
    base, exponent = tf.cast(base, wide), tf.cast(exponent, wide)
    positive = exponent.dtype.is_unsigned or (numbers is not None and (numbers >= 0).all())
    raised = tf.pow(base, exponent) if positive else _integer_power(base, exponent)
    return tf.cast(raised, result)


def _holds(dtype: tf.DType, other: tf.DType, numbers: np.ndarray | None) -> bool:
    """Whether a float dtype represents another dtype's exponents, or these, without rounding."""
    if dtype == other or other.size < dtype.size:
        return True
    if numbers is None:
        return False
    rounded = numbers.astype(dtype.as_numpy_dtype).astype(np.float64)
    return bool((rounded == numbers.astype(np.float64)).all())


def _integer_power(base: tf.Tensor, exponent: tf.Tensor) -> tf.Tensor:
    """Raise integers to any power. Negative powers are zero, except those of ±1."""
    zero, one = (tf.constant(number, base.dtype) for number in (0, 1))
    raised = tf.pow(base, tf.maximum(exponent, zero))
    # (±1)^n is (±1)^(n mod 2).
    unit = tf.pow(base, tf.math.floormod(exponent, 2 * one))
    left = tf.where(tf.equal(tf.abs(base), one), unit, tf.zeros_like(unit))
    return tf.where(exponent < zero, left, raised)


def _register_variadic(op: str, function: Callable, native: Collection[tf.DType]) -> None:
    def pair(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        return widened(function, native, left, right, ordered=op != "Sum")

    @register(op)
    def handler(node: Node, *values: tf.Tensor) -> tf.Tensor:
        return functools.reduce(pair, values) if len(values) > 1 else tf.identity(values[0])

    handler.__doc__ = f"Compute {op} over any number of inputs."


for _op, _function, _native in (
    ("Max", tf.maximum, WIDE | {tf.bfloat16}),
    ("Min", tf.minimum, WIDE | {tf.bfloat16}),
    ("Sum", tf.add, SIGNED),
):
    _register_variadic(_op, _function, _native)


@register("Mean")
def mean(node: Node, *values: tf.Tensor) -> tf.Tensor:
    """Return the mean of any number of inputs."""
    total = functools.reduce(tf.add, values)
    return total / tf.constant(len(values), total.dtype) if len(values) > 1 else tf.identity(total)


@register("Clip")
def clip(
    node: Node, data: tf.Tensor, low: tf.Tensor | None = None, high: tf.Tensor | None = None
) -> tf.Tensor:
    """Clip numbers to bounds, either of which may be missing. If they cross, the upper one wins."""
    if low is None and "min" in node.attrs:
        low = scalar(node.attrs["min"], data.dtype)
    if high is None and "max" in node.attrs:
        high = scalar(node.attrs["max"], data.dtype)
    low, high = _bound(low, -np.inf), _bound(high, np.inf)
    least, most = constant(low), constant(high)
    if data.dtype in FLOATS and least is not None and least == 0:
        if high is None:
            return tf.nn.relu(data)
        if most is not None and most == 6:
            return tf.nn.relu6(data)
    native = WIDE | {tf.bfloat16}
    if low is not None:
        data = widened(tf.maximum, native, data, low, ordered=True)
    if high is not None:
        data = widened(tf.minimum, native, data, high, ordered=True)
    return tf.identity(data) if low is None and high is None else data


def _bound(bound: tf.Tensor | None, endless: float) -> tf.Tensor | None:
    """Return a bound as a scalar, or None if it limits nothing."""
    known = constant(bound)
    if known is None:
        return bound if bound is None or not bound.shape.rank else tf.reshape(bound, [])
    return None if (known == endless).all() else tf.constant(known.reshape([]))


@register("CumSum", "CumProd")
def cumulate(node: Node, data: tf.Tensor, axis: tf.Tensor) -> tf.Tensor:
    """Add up or multiply along an axis, which may be computed."""
    function = tf.cumsum if node.op_type == "CumSum" else tf.math.cumprod
    known = constant(axis)
    axis = int(known.reshape([])) if known is not None else tf.cast(tf.reshape(axis, []), tf.int32)
    options = {name: bool(node.attrs.get(name, 0)) for name in ("exclusive", "reverse")}
    return widened(lambda values: function(values, axis, **options), ARITHMETIC, data)


@register("Identity")
def identity(node: Node, data: tf.Tensor) -> list:
    """Return the input, which may be a sequence."""
    return [tf.identity(data) if isinstance(data, tf.Tensor) else data]


@register("Dropout")
def dropout(
    node: Node,
    data: tf.Tensor,
    ratio: tf.Tensor | None = None,
    training: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """Return the input, because nothing is dropped at inference."""
    chance: Any = node.attrs.get("ratio", 0.5) if ratio is None else constant(ratio)
    trains: Any = node.since < 7 and not node.attrs.get("is_test", 0)
    if training is not None:
        trains = constant(training)
    if trains is None or (trains and (chance is None or chance != 0)):
        raise refusal(
            node,
            "drops numbers at random (training_mode); a frozen graph computes the same every time. "
            "Export the model in evaluation mode: training_mode false, is_test 1 before opset 7.",
        )
    outputs = [tf.identity(data)]
    if node.wants(1):
        # ONNX did not define the mask until opset 12. onnxruntime fills it with zeros there.
        kept, dtype = node.since >= 12, tf.bool if node.since >= 10 else data.dtype
        outputs.append(tf.fill(tf.shape(data), scalar(kept, dtype)))
    return outputs
