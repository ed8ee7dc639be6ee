"""Convolutions and matrix products."""

import numpy as np
import tensorflow as tf

from nbhelpers.convert.handlers.registry import Node, Value, constant, refusal, register


@register("Gemm")
def gemm(node: Node, a: tf.Tensor, b: tf.Tensor, c: tf.Tensor | None = None) -> list[tf.Tensor]:
    """Compute alpha·A·B + beta·C in the inputs' dtype, without scaling by one."""
    alpha, beta = node.attrs.get("alpha", 1.0), node.attrs.get("beta", 1.0)
    result = tf.matmul(
        a,
        b,
        transpose_a=bool(node.attrs.get("transA", 0)),
        transpose_b=bool(node.attrs.get("transB", 0)),
    )
    if alpha != 1.0:
        result = result * tf.cast(alpha, a.dtype)
    if c is None or beta == 0.0:
        return [result]
    return [result + (c if beta == 1.0 else c * tf.cast(beta, a.dtype))]


@register("Conv", as_arrays=[1])
def conv(node: Node, data: tf.Tensor, weights: Value, bias: Value | None = None) -> list[tf.Tensor]:
    """Convolve over one, two or three axes; groups become depthwise where they are."""
    rank = data.shape.rank - 2
    if rank not in (1, 2, 3):
        raise refusal(
            node,
            f"works on {rank} axes; TensorFlow knows one, two and three.",
        )
    if node.attrs.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise refusal(
            node,
            "pads by itself (auto_pad) over a size that is not known; fix the spatial dims of "
            "the model's inputs, or give the padding as numbers.",
        )
    kernel, group = list(weights.shape)[2:], node.attrs.get("group", 1)
    ones = [1] * rank
    strides, dilations = node.attrs.get("strides", ones), node.attrs.get("dilations", ones)
    pads = node.attrs.get("pads", [0] * 2 * rank)
    if rank == 1:  # TensorFlow's conv1d is the same detour
        data, weights = tf.expand_dims(data, 2), weights[:, :, None]
        kernel, strides, dilations = [1, *kernel], [1, *strides], [1, *dilations]
        pads = [0, pads[0], 0, pads[1]]
    data, padding = _padded(data, kernel, strides, dilations, [int(pad) for pad in pads])
    result = _convolve(data, weights, group, strides, dilations, padding)
    if bias is not None:
        result = tf.nn.bias_add(result, bias, data_format="NC" + "DHW"[3 - len(kernel) :])
    return [tf.squeeze(result, 2) if rank == 1 else result]


def _padded(
    data: tf.Tensor, kernel: list, strides: list, dilations: list, pads: list
) -> tuple[tf.Tensor, str]:
    """Return the data to convolve and TensorFlow's padding word for it.

    SAME pads half of `reach - 1` on each side whatever the size, if the stride is one and the reach
    is odd; everywhere else it depends on the size, so the padding is made an op of its own.
    """
    rank = len(kernel)
    begins, ends = pads[:rank], pads[rank:]
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    half = [(size - 1) // 2 for size in reach]
    if not any(pads):
        return data, "VALID"
    odd = all(size % 2 for size in reach)
    if odd and begins == ends == half and all(stride == 1 for stride in strides):
        return data, "SAME"
    return tf.pad(data, [[0, 0], [0, 0], *zip(begins, ends, strict=True)]), "VALID"


def _convolve(
    data: tf.Tensor, weights: Value, group: int, strides: list, dilations: list, padding: str
) -> tf.Tensor:
    """Convolve in NCHW or NCDHW; `weights` are M×C/group×kernel as ONNX stores them."""
    rank = len(strides)
    options = {
        "strides": [1, 1, *map(int, strides)],
        "padding": padding,
        "data_format": "NCHW" if rank == 2 else "NCDHW",
    }
    if group > 1 and rank == 2 and group == data.shape[1]:
        # M×1×kH×kW, with M = C·multiplier, becomes kH×kW×C×multiplier.
        height, width = list(weights.shape)[2:]
        filters = _permuted(weights, [2, 3, 0, 1])
        filters = tf.reshape(filters, [height, width, group, -1])
        return tf.nn.depthwise_conv2d(data, filters, dilations=list(map(int, dilations)), **options)
    filters = _permuted(weights, [*range(2, 2 + rank), 1, 0])
    convolve = tf.nn.conv2d if rank == 2 else tf.nn.conv3d
    options["dilations"] = [1, 1, *map(int, dilations)]
    if group == 1:
        return convolve(data, filters, **options)
    parts = zip(tf.split(data, group, axis=1), tf.split(filters, group, axis=-1), strict=True)
    return tf.concat(
        [convolve(part, part_filters, **options) for part, part_filters in parts], axis=1
    )


def _permuted(weights: Value, permutation: list[int]) -> tf.Tensor:
    """Transpose weights now where they are constant: folding them later costs much more."""
    value = constant(weights)
    if value is None:
        return tf.transpose(weights, permutation)
    return tf.constant(np.ascontiguousarray(value.transpose(permutation)))
