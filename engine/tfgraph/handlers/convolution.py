"""Convolutions over one, two and three axes."""

import math

import numpy as np
import tensorflow as tf

from tfgraph.graphs.shapes import GROUPS
from tfgraph.handlers.registry import Node, Value, constant, refusal, register
from tfgraph.handlers.sizes import sizes_of
from tfgraph.handlers.windows import Window, pad, undilated, windows


@register("Conv", as_arrays=[1])
def conv(node: Node, data: tf.Tensor, weights: Value, bias: Value | None = None) -> list[tf.Tensor]:
    """Convolve over one, two or three axes. Groups of one channel become depthwise convolutions."""
    rank = data.shape.rank - 2
    if rank not in (1, 2, 3):
        raise refusal(
            node,
            f"works on {rank} axes; TensorFlow knows one, two and three.",
        )
    kernel, group = kernel_sizes(node, weights), int(node.attrs.get("group", 1))
    axes = windows(node, data, kernel)
    strides, dilations = [axis.stride for axis in axes], [axis.dilation for axis in axes]
    plain = max(dilations) == 1 and len(set(strides)) == 1
    depthwise = group > 1 and weights.shape[1] == 1
    data, padding = _padded(node, data, axes, same=plain or not depthwise)
    if rank == 1:  # TensorFlow's conv1d does the same
        data, weights = tf.expand_dims(data, 2), weights[:, :, None]
        kernel, strides, dilations = [1, *kernel], [1, *strides], [1, *dilations]
    result = _convolve(data, weights, group, strides, dilations, padding)
    if bias is not None:
        result = tf.nn.bias_add(result, bias, data_format="NC" + "DHW"[3 - len(kernel) :])
    return [tf.squeeze(result, 2) if rank == 1 else result]


@register("CausalConvWithState", as_arrays=[1])
def causal_conv(
    node: Node,
    data: tf.Tensor,
    weights: Value,
    bias: tf.Tensor | None = None,
    past: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """Convolve each channel over past values, and also return the last ones, for the next call."""
    (kernel,), dtype = kernel_sizes(node, weights), data.dtype
    if past is None:
        padded = tf.pad(data, [[0, 0], [0, 0], [kernel - 1, 0]])
    else:
        padded = tf.concat([past, data], 2)
    result, weights = padded[:, :, None], weights[:, :, None]
    if dtype == tf.float16:
        result, weights = tf.cast(result, tf.float32), single(weights)
    result = _convolve(result, weights, int(weights.shape[0]), [1, 1], [1, 1], "VALID")
    if bias is not None:
        result = tf.nn.bias_add(result, tf.cast(bias, result.dtype), data_format="NCHW")
    result = tf.squeeze(result, 2)
    activation = node.attrs.get("activation", "none")
    if activation in ("silu", "swish"):
        result = tf.cast(tf.cast(result, dtype), result.dtype)
        result = result * tf.sigmoid(result)
    elif activation != "none":
        raise refusal(node, f"has the activation {activation!r}, which ONNX does not define.")
    return [tf.cast(result, dtype), padded[:, :, sizes_of(data)[2] :]]


def kernel_sizes(node: Node, weights: Value) -> list[int]:
    """Return the spatial sizes of the weights.

    Raises:
        ConversionError: the sizes are computed while the graph runs, and the node does not state
            them.
    """
    kernel = list(weights.shape)[2:]
    if None in kernel:
        kernel = node.attrs.get("kernel_shape") or kernel
    if None in kernel or weights.shape[1] is None:
        raise refusal(
            node,
            "takes weights whose size is not known; TensorFlow needs it in the graph. Give the "
            "input that holds the weights a fixed shape, with onnxgraph.fix_dims.",
        )
    return [int(size) for size in kernel]


def _padded(
    node: Node, data: tf.Tensor, axes: list[Window], *, same: bool
) -> tuple[tf.Tensor, str]:
    """Return the data to convolve and TensorFlow's padding word for it.

    If the stride is one and the reach is odd, SAME pads half of `reach - 1` on each side for every
    size. So SAME is used there, and for ONNX's SAME_UPPER. Everywhere else the padding is a
    separate op, and also where TensorFlow's op does not pad as it should (`same` is false).
    """
    amounts = [(axis.begin, axis.end) for axis in axes]
    if not any(isinstance(each, tf.Tensor) or each for pair in amounts for each in pair):
        return data, "VALID"
    if same:
        half = [(axis.reach // 2, axis.reach // 2) for axis in axes]
        odd = all(axis.reach % 2 and axis.stride == 1 for axis in axes)
        if (odd and amounts == half) or node.attrs.get("auto_pad", "NOTSET") == "SAME_UPPER":
            return data, "SAME"
    return pad(data, amounts), "VALID"


def _convolve(
    data: tf.Tensor, weights: Value, group: int, strides: list, dilations: list, padding: str
) -> tf.Tensor:
    """Convolve in NCHW or NCDHW. `weights` are M×C/group×kernel, as ONNX stores them."""
    rank = len(strides)
    if group > 1 and rank == 2 and weights.shape[1] == 1:
        return _depthwise(data, weights, group, strides, dilations, padding)
    filters = permuted(weights, [*range(2, 2 + rank), 1, 0])
    convolve = tf.nn.conv2d if rank == 2 else tf.nn.conv3d
    options = {
        "strides": [1, 1, *strides],
        "dilations": [1, 1, *dilations],
        "padding": padding,
        "data_format": "NCHW" if rank == 2 else "NCDHW",
    }
    if group == 1 or rank == 2:  # a filter with fewer channels than the data means groups
        return _noted(convolve(data, filters, **options), group)
    parts = zip(tf.split(data, group, axis=1), tf.split(filters, group, axis=-1), strict=True)
    results = [_noted(convolve(part, part_filters, **options), 1) for part, part_filters in parts]
    return tf.concat(results, axis=1)


def _noted(result: tf.Tensor, group: int) -> tf.Tensor:
    """Record the number of groups in the node of a convolution.

    TensorFlow computes it from the channels of the data, which it cannot always infer. ONNX's
    weights always state it.
    """
    result.op._set_attr(GROUPS, tf.compat.v1.AttrValue(i=group))
    return result


def _depthwise(
    data: tf.Tensor, weights: Value, group: int, strides: list, dilations: list, padding: str
) -> tf.Tensor:
    """Convolve each channel by itself. TensorFlow's op has only equal strides and no dilations."""
    height, width = list(weights.shape)[2:]
    # M×1×kH×kW, with M = C·multiplier, becomes kH×kW×C×multiplier.
    filters = permuted(weights, [2, 3, 0, 1], [height, width, group, -1])
    if max(dilations) > 1:
        result = undilated(
            tf.transpose(data, [0, 2, 3, 1]),
            strides,
            dilations,
            lambda part: tf.nn.depthwise_conv2d(part, filters, [1, 1, 1, 1], "VALID"),
        )
        return tf.transpose(result, [0, 3, 1, 2])
    if height == data.shape[2] == 1:
        strides = [strides[1]] * 2  # one row is the same for every stride
    step = math.gcd(*strides)
    result = tf.nn.depthwise_conv2d(data, filters, [1, 1, step, step], padding, data_format="NCHW")
    if strides[0] == strides[1]:
        return result
    return result[:, :, :: strides[0] // step, :: strides[1] // step]


def single(weights: Value) -> Value:
    """Return weights in float32."""
    if isinstance(weights, np.ndarray):
        return weights.astype(np.float32)
    return tf.cast(weights, tf.float32)


def permuted(weights: Value, permutation: list[int], shape: list[int] | None = None) -> tf.Tensor:
    """Transpose (and reshape) constant weights now, because folding later costs more."""
    value = constant(weights)
    if value is None:
        result = tf.transpose(weights, permutation)
        return result if shape is None else tf.reshape(result, shape)
    value = np.ascontiguousarray(value.transpose(permutation))
    return tf.constant(value if shape is None else value.reshape(shape))
