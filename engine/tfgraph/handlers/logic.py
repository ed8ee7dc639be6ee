"""Comparisons, selection and bits."""

from collections.abc import Callable, Collection

import numpy as np
import tensorflow as tf

from tfgraph.handlers.elementwise import operands
from tfgraph.handlers.kernel_types import BRAINS, FLOATS, SIGNED, scalar, spread, widened
from tfgraph.handlers.registry import Node, constant, refusal, register

_COMPARISONS: dict[str, tuple[Callable, Collection[tf.DType], bool]] = {
    "Equal": (tf.equal, SIGNED | {tf.bool, tf.string}, False),
    "Less": (tf.less, SIGNED, True),
    "LessOrEqual": (tf.less_equal, SIGNED, True),
    "Greater": (tf.greater, SIGNED, True),
    "GreaterOrEqual": (tf.greater_equal, SIGNED, True),
}
"""ONNX op → function, the dtypes with a kernel in every TensorFlow, and whether order counts."""


def _register_comparison(
    op: str, function: Callable, native: Collection[tf.DType], ordered: bool
) -> None:
    @register(op)
    def handler(node: Node, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        sides = operands(node, left, right)
        if ordered and left.dtype == tf.string:
            raise refusal(node, "puts texts in order, which ONNX does not define; compare numbers.")
        return widened(function, native, *sides, ordered=ordered, keep=False)

    handler.__doc__ = f"Compute {op}."


for _op, _entry in _COMPARISONS.items():
    _register_comparison(_op, *_entry)

_LOGIC: dict[str, Callable] = {
    "And": tf.logical_and,
    "Or": tf.logical_or,
    "Xor": tf.not_equal,
    "BitwiseAnd": tf.bitwise.bitwise_and,
    "BitwiseOr": tf.bitwise.bitwise_or,
    "BitwiseXor": tf.bitwise.bitwise_xor,
}


def _register_logic(op: str, function: Callable) -> None:
    @register(op)
    def handler(node: Node, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        return function(*operands(node, left, right))

    handler.__doc__ = f"Compute {op}."


for _op, _function in _LOGIC.items():
    _register_logic(_op, _function)


@register("Not")
def logical_not(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Negate booleans."""
    return tf.logical_not(data)


@register("BitwiseNot")
def bitwise_not(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Flip every bit."""
    return tf.bitwise.invert(data)


@register("BitShift")
def bit_shift(node: Node, data: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    """Shift bits. A shift by all bits or more leaves nothing of a number."""
    left = node.attrs["direction"] == "LEFT"
    shift = tf.bitwise.left_shift if left else tf.bitwise.right_shift
    bits, known = data.dtype.size * 8, constant(amount)
    if known is not None and (known < bits).all() and (known >= 0).all():
        return shift(data, amount)
    # TensorFlow shifts by at most all bits but one, and does not shift by a negative amount.
    none, all_of_them = scalar(0, data.dtype), scalar(bits, data.dtype)
    inside = widened(tf.less, SIGNED, amount, all_of_them, ordered=True, keep=False)
    if data.dtype.is_unsigned:
        return choose(inside, shift(data, amount), none)
    inside = tf.logical_and(inside, tf.greater_equal(amount, none))
    outside = none if left else shift(data, scalar(bits - 1, data.dtype))
    return choose(inside, shift(data, amount), outside)


@register("Where")
def where(node: Node, condition: tf.Tensor, yes: tf.Tensor, no: tf.Tensor) -> tf.Tensor:
    """Select elementwise. All three inputs are broadcast."""
    largest = max(condition, yes, no, key=lambda value: value.shape.rank)
    return choose(*(spread(value, largest) for value in (condition, yes, no)))


def choose(condition: tf.Tensor, yes: tf.Tensor, no: tf.Tensor) -> tf.Tensor:
    """Select from two tensors of one dtype. Old kernels lack the widest unsigned integers."""
    dtype = yes.dtype
    if dtype not in (tf.uint32, tf.uint64):
        return tf.where(condition, yes, no)
    return tf.cast(tf.where(condition, tf.cast(yes, tf.int64), tf.cast(no, tf.int64)), dtype)


@register("IsNaN")
def is_nan(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Return where the numbers are NaN."""
    return widened(tf.math.is_nan, BRAINS, data, keep=False)


@register("IsInf")
def is_inf(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Return where the numbers are infinite, or infinite with one sign."""
    below = node.attrs.get("detect_negative", 1)
    above = node.attrs.get("detect_positive", 1)
    if below and above:
        return widened(tf.math.is_inf, FLOATS, data, keep=False)
    if below or above:
        return tf.equal(data, scalar(np.inf if above else -np.inf, data.dtype))
    return tf.zeros_like(data, tf.bool)
