"""Normalisation: by stored statistics, over images, groups or layers, or by neighbour channels."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfgraph.handlers.registry import Node, Value, constant, refusal, register
from tfgraph.handlers.sizes import sizes_of

HALVES = (tf.float16, tf.bfloat16)


@register("BatchNormalization", as_arrays=[1, 2, 3, 4])
def batch_normalisation(
    node: Node, data: tf.Tensor, scale: Value, bias: Value, mean: Value, variance: Value
) -> list[tf.Tensor]:
    """Normalise by stored statistics: one op for images, else a product and a sum."""
    epsilon = float(node.attrs.get("epsilon", 1e-5))
    if _trains(node):
        return _trained(node, data, scale, bias, mean, variance)
    spatial = bool(node.attrs.get("spatial", 1))
    given = [scale, bias, mean, variance]
    if spatial and data.shape.rank == 4 and data.dtype == tf.float32:
        scale, bias, mean, variance = (tf.cast(each, tf.float32) for each in given)
        return [
            tf.raw_ops.FusedBatchNormV3(
                x=data,
                scale=scale,
                offset=bias,
                mean=mean,
                variance=variance,
                epsilon=epsilon,
                data_format="NCHW",
                is_training=False,
            ).y
        ]
    exact = tf.float64 if data.dtype == tf.float64 else tf.float32
    known = [each for each in map(constant, given) if each is not None]
    if len(known) == len(given):
        scale, bias, mean, variance = (each.astype(np.float64) for each in known)
        factor = scale / np.sqrt(variance + epsilon)
        offset = bias - mean * factor
    else:
        scale, bias, mean, variance = (tf.cast(each, exact) for each in given)
        factor = scale * tf.math.rsqrt(variance + tf.cast(epsilon, exact))
        offset = bias - mean * factor
    shape = [1, -1, *[1] * (data.shape.rank - 2)] if spatial else [1, *sizes_of(data)[1:]]
    shape = shape if data.shape.rank > 1 else [-1]
    factor, offset = (_shaped(each, shape, exact) for each in (factor, offset))
    return [tf.cast(tf.cast(data, exact) * factor + offset, data.dtype)]


def _trains(node: Node) -> bool:
    """Whether a node normalises by the batch. Up to opset 13 its number of outputs decides.

    Standardised convolutions do so even at inference, with their weights as the batch.
    """
    if node.since >= 14:
        return bool(node.attrs.get("training_mode", 0))
    trains = len(node.outputs) > 1
    if not trains and node.since < 7 and not node.attrs.get("is_test", 0):
        raise refusal(
            node,
            "has is_test = 0, which is training, and the one output of inference; set is_test to 1 "
            "if the model was trained before.",
        )
    return trains


def _trained(
    node: Node, data: tf.Tensor, scale: Value, bias: Value, mean: Value, variance: Value
) -> list[tf.Tensor]:
    """Normalise by the batch itself. Also return the stored statistics, moved towards the batch's.

    Up to opset 13 two more outputs follow: the mean of the batch, and onnxruntime's form of its
    variance, which is one over the root of it.
    """
    if not node.attrs.get("spatial", 1):
        raise refusal(node, "trains, with spatial = 0; set it to 1, or export it in eval mode.")
    epsilon, keep = float(node.attrs.get("epsilon", 1e-5)), float(node.attrs.get("momentum", 0.9))
    exact = tf.float64 if data.dtype == tf.float64 else tf.float32
    axes = [axis for axis in range(data.shape.rank) if axis != 1]
    single = tf.cast(data, exact)
    centre, spread = _moments(single, axes)
    shape = [1, -1, *[1] * (data.shape.rank - 2)]
    scale, bias = (tf.reshape(tf.cast(each, exact), shape) for each in (scale, bias))
    inverse = tf.math.rsqrt(spread + tf.cast(epsilon, exact))
    results = [tf.cast((single - centre) * inverse * scale + bias, data.dtype)]
    for stored, seen in ((mean, centre), (variance, spread)):
        dtype = tf.as_dtype(stored.dtype)
        moved = tf.cast(stored, exact) * keep + tf.reshape(seen, [-1]) * (1 - keep)
        results.append(tf.cast(moved, dtype))
    saved = [tf.cast(tf.reshape(each, [-1]), data.dtype) for each in (centre, inverse)]
    return results + (saved if node.since < 14 else [])


@register("InstanceNormalization", as_arrays=[1, 2])
def instance_normalisation(
    node: Node, data: tf.Tensor, scale: Value, bias: Value
) -> list[tf.Tensor]:
    """Normalise each channel of each image by itself."""
    rank = data.shape.rank
    normal = _normal(data, list(range(2, rank)), float(node.attrs.get("epsilon", 1e-5)))
    return [_affine(normal, scale, bias, [1, -1, *[1] * (rank - 2)], data.dtype)]


@register("GroupNormalization", as_arrays=[1, 2])
def group_normalisation(node: Node, data: tf.Tensor, scale: Value, bias: Value) -> list[tf.Tensor]:
    """Normalise groups of channels. Version 18 scales groups, and version 21 scales channels."""
    rank, groups = data.shape.rank, int(node.attrs["num_groups"])
    size = sizes_of(data)
    grouped = tf.reshape(data, [size[0], groups, size[1] // groups, -1])
    normal = _normal(grouped, [2, 3], float(node.attrs.get("epsilon", 1e-5)))
    if node.since < 21:
        scaled = _affine(normal, scale, bias, [1, -1, 1, 1], data.dtype)
        return [tf.reshape(scaled, size)]
    return [_affine(tf.reshape(normal, size), scale, bias, [1, -1, *[1] * (rank - 2)], data.dtype)]


@register("LayerNormalization", as_arrays=[1, 2])
def layer_normalisation(
    node: Node, data: tf.Tensor, scale: Value, bias: Value | None = None
) -> list[tf.Tensor]:
    """Normalise over the last axes. For half floats the statistics are float32."""
    axes = _last_axes(node, data)
    single = tf.cast(data, tf.float32) if data.dtype in HALVES else data
    epsilon = tf.cast(float(node.attrs.get("epsilon", 1e-5)), single.dtype)
    mean = tf.reduce_mean(single, axes, keepdims=True)
    centred = single - mean
    inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axes, keepdims=True) + epsilon)
    normal = tf.cast(centred * inverse, data.dtype)
    result = normal * tf.cast(scale, data.dtype)
    result = result if bias is None else result + tf.cast(bias, data.dtype)
    return [result, mean, inverse]


@register("RMSNormalization", as_arrays=[1])
def rms_normalisation(node: Node, data: tf.Tensor, scale: Value) -> list[tf.Tensor]:
    """Divide by the root of the mean square over the last axes."""
    axes = _last_axes(node, data)
    single = tf.cast(data, tf.float32) if data.dtype in HALVES else data
    epsilon = tf.cast(float(node.attrs.get("epsilon", 1e-5)), single.dtype)
    inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(single), axes, keepdims=True) + epsilon)
    normal = tf.cast(single * inverse, data.dtype)
    dtype = tf.as_dtype(scale.dtype)  # it may differ from the data's, and is the result's dtype
    return [tf.cast(normal, dtype) * scale]


@register("MeanVarianceNormalization")
def mean_variance_normalisation(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Subtract the mean and divide by the deviation over some axes."""
    axes = [int(axis) for axis in node.attrs.get("axes") or [0, 2, 3]]
    centre, spread = _moments(data, axes)
    return [(data - centre) / (tf.sqrt(spread) + tf.cast(1e-9, data.dtype))]


@register("LpNormalization")
def lp_normalisation(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Divide by the norm along an axis. Vectors with a norm of zero stay zero."""
    axis, power = int(node.attrs.get("axis", -1)), int(node.attrs.get("p", 2))
    if power == 1:
        norm = tf.reduce_sum(tf.abs(data), axis, keepdims=True)
    elif power == 2:
        norm = tf.sqrt(tf.reduce_sum(tf.square(data), axis, keepdims=True))
    else:
        raise refusal(node, f"has p = {power}; ONNX defines one and two.")
    return [data / (norm + tf.cast(tf.equal(norm, 0), data.dtype))]


@register("LRN")
def local_response_normalisation(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Divide by a sum over neighbour channels. An even window has one more after than before."""
    size = int(node.attrs["size"])
    alpha = float(node.attrs.get("alpha", 1e-4)) / size
    beta, bias = float(node.attrs.get("beta", 0.75)), float(node.attrs.get("bias", 1.0))
    rank = data.shape.rank
    if size % 2 and rank == 4 and data.dtype == tf.float32:
        # TensorFlow's op needs NHWC. Next to convolutions the transpositions cancel each other.
        result = tf.nn.local_response_normalization(
            tf.transpose(data, [0, 2, 3, 1]), (size - 1) // 2, bias, alpha, beta
        )
        return [tf.transpose(result, [0, 3, 1, 2])]
    around = [[0, 0]] * rank
    around[1] = [(size - 1) // 2, size // 2]
    squares, channels = tf.pad(tf.square(data), around), sizes_of(data)[1]
    total = squares[:, :channels]
    for step in range(1, size):
        total = total + squares[:, step : step + channels]
    scale = tf.cast(bias, data.dtype) + tf.cast(alpha, data.dtype) * total
    return [data / tf.pow(scale, tf.cast(beta, data.dtype))]


def _normal(data: tf.Tensor, axes: Sequence[int], epsilon: float) -> tf.Tensor:
    """Return (data − mean) / deviation over some axes, computed in float32 for half floats."""
    single = tf.cast(data, tf.float32) if data.dtype in HALVES else data
    centre, spread = _moments(single, axes)
    return (single - centre) * tf.math.rsqrt(spread + tf.cast(epsilon, single.dtype))


def _moments(data: tf.Tensor, axes: Sequence[int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Return mean and variance over some axes, which are kept with size one."""
    mean = tf.reduce_mean(data, axes, keepdims=True)
    return mean, tf.reduce_mean(tf.math.squared_difference(data, mean), axes, keepdims=True)


def _affine(
    normal: tf.Tensor, scale: Value, bias: Value, shape: list[int], dtype: tf.DType
) -> tf.Tensor:
    """Return normal·scale + bias in `dtype`."""
    scale, bias = (_shaped(each, shape, normal.dtype) for each in (scale, bias))
    return tf.cast(normal * scale + bias, dtype)


def _shaped(value: Value, shape: list[int], dtype: tf.DType) -> tf.Tensor:
    """Return a value in another shape and dtype. A constant stays one."""
    known = constant(value)
    if known is None or any(isinstance(size, tf.Tensor) for size in shape):
        return tf.reshape(tf.cast(value, dtype), shape)
    return tf.constant(known.reshape(shape).astype(dtype.as_numpy_dtype))


def _last_axes(node: Node, data: tf.Tensor) -> list[int]:
    """Return the axes from `axis` on."""
    axis = int(node.attrs.get("axis", -1))
    return list(range(axis % data.shape.rank, data.shape.rank))
