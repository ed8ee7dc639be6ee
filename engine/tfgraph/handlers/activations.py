"""The activation functions that are ONNX ops."""

from collections.abc import Callable, Collection

import numpy as np
import tensorflow as tf

from tfgraph.handlers.kernel_types import ARITHMETIC, BRAINS, FLOATS, WIDE, scalar, spread, widened
from tfgraph.handlers.logic import choose
from tfgraph.handlers.registry import Node, constant, refusal, register


def _mish(data: tf.Tensor) -> tf.Tensor:
    return data * tf.math.tanh(tf.math.softplus(data))


def _hard_swish(data: tf.Tensor) -> tf.Tensor:
    return data * (tf.nn.relu6(data + scalar(3, data.dtype)) * scalar(1 / 6, data.dtype))


_PLAIN: dict[str, tuple[Callable, Collection[tf.DType]]] = {
    "Relu": (tf.nn.relu, ARITHMETIC),
    "Sigmoid": (tf.math.sigmoid, FLOATS),
    "Tanh": (tf.math.tanh, FLOATS),
    "Softplus": (tf.math.softplus, BRAINS),
    "Softsign": (tf.nn.softsign, BRAINS),
    "Mish": (_mish, FLOATS),
    "HardSwish": (_hard_swish, FLOATS),
}
"""ONNX op without attributes → function, and the dtypes with a kernel in every TensorFlow."""


def _register_plain(op: str, function: Callable, native: Collection[tf.DType]) -> None:
    @register(op)
    def handler(node: Node, data: tf.Tensor) -> tf.Tensor:
        return widened(function, native, data)

    handler.__doc__ = f"Compute {op} of every number."


for _op, _entry in _PLAIN.items():
    _register_plain(_op, *_entry)


def _two_sided(data: tf.Tensor, below: Callable) -> tf.Tensor:
    """Return relu(x) plus a function of the negative values, which must be 0 at 0."""

    def compute(values: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(values) + below(tf.minimum(values, scalar(0, values.dtype)))

    return widened(compute, FLOATS, data)


@register("LeakyRelu")
def leaky_relu(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Multiply negative values by `alpha`.

    TensorFlow's own op was max(x, alpha·x) until 2.x, which differs unless `alpha` is from 0 to 1.
    """
    alpha = node.attrs.get("alpha", 0.01)
    if 0 <= alpha <= 1:
        return widened(lambda values: tf.nn.leaky_relu(values, alpha), BRAINS, data)
    return _two_sided(data, lambda low: low * scalar(alpha, low.dtype))


@register("Elu")
def elu(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Compute alpha·(eˣ − 1) for negative values."""
    alpha = node.attrs.get("alpha", 1.0)
    if alpha == 1.0:
        return widened(tf.nn.elu, FLOATS, data)
    return _two_sided(data, lambda low: tf.math.expm1(low) * scalar(alpha, low.dtype))


@register("Celu")
def celu(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Compute alpha·(e^(x/alpha) − 1) for negative values."""
    alpha = node.attrs.get("alpha", 1.0)
    if alpha == 1.0:
        return widened(tf.nn.elu, FLOATS, data)

    def below(low: tf.Tensor) -> tf.Tensor:
        factor = scalar(alpha, low.dtype)
        return tf.math.expm1(low / factor) * factor

    return _two_sided(data, below)


@register("Selu")
def selu(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Compute gamma times an Elu. TensorFlow's own op only has the numbers of ONNX's default."""
    first = node.since < 6
    alpha = node.attrs.get("alpha", 1.6732 if first else 1.67326319217681884765625)
    gamma = node.attrs.get("gamma", 1.0507 if first else 1.05070102214813232421875)
    if np.allclose([alpha, gamma], [1.6732632, 1.0507010], rtol=1e-6, atol=0):
        return widened(tf.nn.selu, FLOATS, data)
    scaled = _two_sided(data, lambda low: tf.math.expm1(low) * scalar(alpha, low.dtype))
    return scaled * scalar(gamma, data.dtype)


@register("HardSigmoid")
def hard_sigmoid(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Compute alpha·x + beta, clipped to [0, 1]. PyTorch's version is a Relu6."""
    alpha, beta = node.attrs.get("alpha", 0.2), node.attrs.get("beta", 0.5)

    def compute(values: tf.Tensor) -> tf.Tensor:
        dtype = values.dtype
        if np.allclose([alpha, beta], [1 / 6, 0.5], rtol=1e-6, atol=0):
            return tf.nn.relu6(values + scalar(3, dtype)) * scalar(1 / 6, dtype)
        line = values * scalar(alpha, dtype) + scalar(beta, dtype)
        return tf.minimum(tf.maximum(line, scalar(0, dtype)), scalar(1, dtype))

    return widened(compute, FLOATS, data)


def _swish(data: tf.Tensor, alpha: float) -> tf.Tensor:
    scaled = data if alpha == 1.0 else data * scalar(alpha, data.dtype)
    return data * tf.math.sigmoid(scaled)


@register("Swish")
def swish(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Compute x·sigmoid(alpha·x)."""
    return widened(lambda values: _swish(values, node.attrs.get("alpha", 1.0)), FLOATS, data)


@register("SwiGLU")
def swiglu(node: Node, gate: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Multiply the value by a Swish of the gate."""
    alpha = node.attrs.get("alpha", 1.0)
    return widened(lambda a, b: _swish(a, alpha) * b, FLOATS, gate, value)


@register("Gelu")
def gelu(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Compute x·Φ(x), or its approximation by tanh, with the same ops as TensorFlow itself."""
    approximate = node.attrs.get("approximate", "none") == "tanh"
    return widened(lambda values: tf.nn.gelu(values, approximate), FLOATS, data)


@register("ThresholdedRelu")
def thresholded_relu(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Keep values above `alpha`, and replace the others by zero."""
    above = data > scalar(node.attrs.get("alpha", 1.0), data.dtype)
    return tf.where(above, data, tf.zeros_like(data))


@register("Shrink")
def shrink(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Move numbers towards zero by `bias`, and set those within ±`lambd` to zero."""
    if data.dtype in (tf.int64, tf.uint64):
        raise refusal(
            node,
            "moves 64-bit integers by a float, which cannot hold them; cast them to int32 or to a "
            "float before, and back afterwards.",
        )
    limit, bias = node.attrs.get("lambd", 0.5), node.attrs.get("bias", 0.0)
    values = data if data.dtype.is_floating else tf.cast(data, tf.float64)
    limit, bias = scalar(limit, values.dtype), scalar(bias, values.dtype)
    high = tf.where(values > limit, values - bias, tf.zeros_like(values))
    return tf.cast(tf.where(values < -limit, values + bias, high), data.dtype)


@register("PRelu")
def prelu(node: Node, data: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """Multiply negative values by a slope, which is broadcast (up to opset 6 over channels)."""
    if data.dtype.is_unsigned:
        return tf.identity(data)
    if node.since < 7 and slope.shape.rank == 1 and slope.shape[0] != 1:
        slope = tf.reshape(slope, [-1] + [1] * (data.shape.rank - 2))
    known = constant(slope)
    finite = known is not None and np.isfinite(known.astype(np.float64)).all()

    def compute(values: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
        zero = scalar(0, values.dtype)
        if not finite:  # an infinite slope times zero would be NaN
            return choose(values < zero, values * factor, values)
        return tf.nn.relu(values) + factor * tf.minimum(values, zero)

    return widened(compute, WIDE | {tf.bfloat16}, data, spread(slope, data))


@register("Softmax", "LogSoftmax", "Hardmax")
def softmax(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Normalise over one axis, or before opset 13 over all axes from `axis` on."""
    rank, flat = data.shape.rank, node.since < 13
    function = _OVER_LAST[node.op_type]
    axis = node.attrs.get("axis", 1 if flat else -1)
    axis = axis + rank if axis < 0 else axis
    if axis == rank - 1:
        return function(data)
    if flat:
        return tf.reshape(function(_two_axes(data, axis)), tf.shape(data))
    if axis not in range(rank):
        raise refusal(node, f"has the axis {axis}, but its input has {rank} axes.")
    order = [*range(axis), *range(axis + 1, rank), axis]
    return tf.transpose(function(tf.transpose(data, order)), np.argsort(order).astype(np.int32))


def _two_axes(data: tf.Tensor, axis: int) -> tf.Tensor:
    tail = data.shape.as_list()[axis:]
    if None not in tail and 0 not in tail:
        return tf.reshape(data, [-1, int(np.prod(tail))])
    shape = tf.shape(data)
    return tf.reshape(data, [tf.reduce_prod(shape[:axis]), tf.reduce_prod(shape[axis:])])


def _hardmax(data: tf.Tensor) -> tf.Tensor:
    """Put one at the largest number of the last axis (the first of equal ones), zero elsewhere."""
    size = data.shape[-1] if data.shape[-1] is not None else tf.shape(data)[-1]
    return tf.one_hot(tf.argmax(data, -1), size, dtype=data.dtype)


_OVER_LAST: dict[str, Callable] = {
    "Softmax": lambda data: widened(tf.nn.softmax, FLOATS, data),
    "LogSoftmax": lambda data: widened(tf.nn.log_softmax, FLOATS, data),
    "Hardmax": _hardmax,
}
