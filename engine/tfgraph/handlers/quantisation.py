"""Quantised numbers: integers with a scale and a zero point.

Products are computed in floats that represent every sum exactly, because old TensorFlow has no
integer convolution, and no TensorFlow has a fast one.
"""

import numpy as np
import tensorflow as tf

from tfgraph.handlers import convolution, products
from tfgraph.handlers.registry import Node, constant, refusal, register
from tfgraph.handlers.types import dtype_of

_INTEGERS = (tf.int8, tf.uint8, tf.int16, tf.uint16)


@register("QuantizeLinear")
def quantize(
    node: Node, data: tf.Tensor, scale: tf.Tensor, zero: tf.Tensor | None = None
) -> tf.Tensor:
    """Divide by the scale, round half to even, add the zero point and saturate."""
    if zero is not None:
        dtype = zero.dtype
    else:
        code = node.attrs.get("output_dtype", 0)
        dtype = dtype_of(node, code) if code else tf.uint8
    if dtype not in _INTEGERS:
        raise refusal(node, f"makes {dtype.name}; integers of 8 and 16 bits can be converted to.")
    # Division happens in the scale's dtype. Integers are divided as float32.
    code = node.attrs.get("precision", 0)
    precision = dtype_of(node, code) if code else scale.dtype
    precision = precision if precision.is_floating else tf.float32
    divisor = _laid_out(node, tf.cast(scale, precision), data)
    quotient = tf.cast(tf.realdiv(tf.cast(data, precision), divisor), tf.float32)
    zero = None if _is_zero(zero) else _laid_out(node, tf.cast(zero, tf.float32), data)
    return _saturated(quotient, zero, dtype)


@register("DequantizeLinear")
def dequantize(
    node: Node, data: tf.Tensor, scale: tf.Tensor, zero: tf.Tensor | None = None
) -> tf.Tensor:
    """Subtract the zero point and multiply by the scale."""
    if data.dtype not in (*_INTEGERS, tf.int32):
        raise refusal(
            node, f"takes {data.dtype.name}; integers of 8, 16 and 32 bits can be converted."
        )
    code = node.attrs.get("output_dtype", 0)
    dtype = dtype_of(node, code) if code else scale.dtype
    if data.dtype == tf.int32 and not _is_zero(zero):
        data = data - _laid_out(node, zero, data)
        zero = None
    values = tf.cast(data, tf.float32)
    if not _is_zero(zero):
        values = values - _laid_out(node, tf.cast(zero, tf.float32), data)
    return tf.cast(values * _laid_out(node, tf.cast(scale, tf.float32), data), dtype)


@register("DynamicQuantizeLinear")
def dynamic_quantize(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Quantise to uint8 by the smallest and the largest number of the whole tensor."""
    axes = list(range(data.shape.rank))
    low = tf.minimum(tf.reduce_min(data, axes), 0.0)
    high = tf.maximum(tf.reduce_max(data, axes), 0.0)
    scale = (high - low) / 255.0
    # If all numbers are zero, onnxruntime's scale is one, and the formula would divide by zero.
    scale = scale + tf.cast(tf.equal(scale, 0.0), tf.float32)
    zero = tf.minimum(tf.maximum(tf.round((0.0 - low) / scale), 0.0), 255.0)
    quantised = _saturated(data / scale, zero, tf.uint8)
    return [quantised, scale, tf.cast(zero, tf.uint8)]


def _saturated(quotient: tf.Tensor, zero: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
    """Round float32, add the zero point, and clip to the dtype's range."""
    rounded = tf.round(quotient)
    rounded = rounded if zero is None else rounded + zero
    bounded = tf.minimum(tf.maximum(rounded, float(dtype.min)), float(dtype.max))
    return tf.cast(bounded, dtype)


def _is_zero(zero: tf.Tensor | None) -> bool:
    known = constant(zero)
    return zero is None or (known is not None and not known.any())


def _laid_out(node: Node, values: tf.Tensor, data: tf.Tensor) -> tf.Tensor:
    """Return scales or zero points in a shape that broadcasts with the data.

    They are one number, one per slice of `axis`, or one per block of `axis`.
    """
    rank = data.shape.rank
    axis = node.attrs.get("axis", 1)
    axis = axis + rank if axis < 0 else axis
    block = node.attrs.get("block_size", 0)
    if block and values.shape.rank == rank:
        size = data.shape[axis]
        places = tf.range(tf.shape(data)[axis]) if size is None else np.arange(size, dtype=np.int32)
        return tf.gather(values, places // block, axis=axis)
    if values.shape.rank == 0 or values.shape.num_elements() == 1:
        return tf.reshape(values, []) if values.shape.rank else values
    if values.shape.rank != 1:
        raise refusal(
            node,
            f"has scales of {values.shape.rank} axes without a block_size; give it one number, "
            "one for each slice of an axis, or blocks.",
        )
    return tf.reshape(values, [-1 if each == axis else 1 for each in range(rank)])


def _centred(values: tf.Tensor, zero: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
    """Return integers minus their zero point, as floats."""
    values = tf.cast(values, dtype)
    return values if _is_zero(zero) else values - tf.cast(zero, dtype)


def _exact(
    data: tf.Tensor,
    data_zero: tf.Tensor | None,
    weights: tf.Tensor,
    weights_zero: tf.Tensor | None,
    axes: tuple[int, ...],
) -> tf.DType:
    """Return a float dtype that represents every sum of products over the weights' `axes`.

    float32 counts to 2²⁴. If the weights are known, the limit is computed from their own sum,
    because few of them are at the dtype's limits.
    """
    known, zero = constant(weights), 0 if weights_zero is None else constant(weights_zero)
    if known is not None and zero is not None:
        terms = np.abs(known.astype(np.int64) - zero).sum(axes).max(initial=0)
    else:
        sizes = [weights.shape[axis] for axis in axes]
        terms = None if None in sizes else int(np.prod(sizes)) * _farthest(weights, weights_zero)
    if terms is None or terms * _farthest(data, data_zero) > 2**24:
        return tf.float64
    return tf.float32


def _farthest(values: tf.Tensor, zero: tf.Tensor | None) -> int:
    """Return the largest distance of a dtype's integers from their zero point."""
    known = np.zeros(1, np.int64) if zero is None else constant(zero)
    if known is None:
        return values.dtype.max - values.dtype.min
    known = known.astype(np.int64)
    return int(max((values.dtype.max - known).max(), (known - values.dtype.min).max()))


def _rows(zero: tf.Tensor | None) -> tf.Tensor | None:
    """Turn one number per row into a column. Other zero points already broadcast."""
    if zero is None or zero.shape.rank != 1 or zero.shape[0] == 1:
        return zero
    return tf.expand_dims(zero, 1)


def _product(
    node: Node,
    left: tf.Tensor,
    right: tf.Tensor,
    left_zero: tf.Tensor | None,
    right_zero: tf.Tensor | None,
) -> tf.Tensor:
    dtype = _exact(left, left_zero, right, right_zero, (0 if right.shape.rank == 1 else -2,))
    left = _centred(left, _rows(left_zero) if left.shape.rank > 1 else left_zero, dtype)
    return products.mat_mul(node, left, _centred(right, right_zero, dtype))


@register("MatMulInteger")
def integer_product(
    node: Node,
    left: tf.Tensor,
    right: tf.Tensor,
    left_zero: tf.Tensor | None = None,
    right_zero: tf.Tensor | None = None,
) -> tf.Tensor:
    """Multiply matrices of integers less their zero points. The sums are int32."""
    return tf.cast(_product(node, left, right, left_zero, right_zero), tf.int32)


@register("QLinearMatMul")
def quantised_product(node: Node, *inputs: tf.Tensor) -> tf.Tensor:
    """Multiply quantised matrices and quantise the result."""
    left, left_scale, left_zero, right, right_scale, right_zero, scale, zero = inputs
    if not {left.dtype, right.dtype, zero.dtype} <= {tf.int8, tf.uint8}:
        raise refusal(node, "multiplies other numbers than int8 and uint8.")
    product = _product(node, left, right, left_zero, right_zero)
    scales = [_rows(left_scale) if left.shape.rank > 1 else left_scale, right_scale, scale]
    one, two, three = (tf.cast(each, tf.float32) for each in scales)
    quotient = tf.cast(product, tf.float32) * (one * two / three)
    zero = None if _is_zero(zero) else tf.cast(zero, tf.float32)
    return _saturated(quotient, zero, inputs[7].dtype)


def _convolved(
    node: Node,
    data: tf.Tensor,
    weights: tf.Tensor,
    data_zero: tf.Tensor | None,
    weights_zero: tf.Tensor | None,
) -> tf.Tensor:
    """Convolve integers less their zero points. So a padding with zeros means the zero point."""
    rank = weights.shape.rank
    if weights_zero is not None and weights_zero.shape.rank == 1:
        weights_zero = tf.reshape(weights_zero, [-1] + [1] * (rank - 1))
    dtype = _exact(data, data_zero, weights, weights_zero, tuple(range(1, rank)))
    centred = _centred(weights, weights_zero, dtype)
    known = constant(centred)
    data = _centred(data, data_zero, dtype)
    (result,) = convolution.conv(node, data, centred if known is None else known)
    return result


@register("ConvInteger")
def integer_convolution(
    node: Node,
    data: tf.Tensor,
    weights: tf.Tensor,
    data_zero: tf.Tensor | None = None,
    weights_zero: tf.Tensor | None = None,
) -> tf.Tensor:
    """Convolve integers less their zero points. The sums are int32."""
    return tf.cast(_convolved(node, data, weights, data_zero, weights_zero), tf.int32)


@register("QLinearConv")
def quantised_convolution(node: Node, *inputs: tf.Tensor) -> tf.Tensor:
    """Convolve quantised numbers, add the bias (int32, in the products' scale) and quantise."""
    data, data_scale, data_zero, weights, weights_scale, weights_zero, scale, zero = inputs[:8]
    result = _convolved(node, data, weights, data_zero, weights_zero)

    def by_channel(values: tf.Tensor) -> tf.Tensor:
        if values.shape.rank == 0:
            return values
        return tf.reshape(values, [1, -1] + [1] * (data.shape.rank - 2))

    if len(inputs) > 8 and inputs[8] is not None:
        # float32 would round a sum beyond 24 bits.
        result = tf.cast(result, tf.float64) + by_channel(tf.cast(inputs[8], tf.float64))
    factor = by_channel(data_scale) * by_channel(weights_scale) / by_channel(scale)
    offset = None if _is_zero(zero) else by_channel(tf.cast(zero, tf.float32))
    return _saturated(tf.cast(result, tf.float32) * factor, offset, zero.dtype)
