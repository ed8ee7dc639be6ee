"""Pools over the spatial axes."""

import tensorflow as tf

from nbhelpers.convert.handlers.registry import Node, refusal, register


@register("GlobalAveragePool")
def global_average_pool(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Average over every spatial axis, keeping them with size one.

    A mean without those axes has no layout that would have to be moved back from NHWC.
    """
    rank = data.shape.rank
    mean = tf.reduce_mean(data, list(range(2, rank)))
    if data.shape[1] is None:
        return [tf.reshape(mean, tf.concat([tf.shape(mean), [1] * (rank - 2)], 0))]
    return [tf.reshape(mean, [-1, data.shape[1], *[1] * (rank - 2)])]


@register("MaxPool")
def max_pool(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Pool without padding: `nbhelpers.onnxgraph.explicit_pooling` has made it a Pad before."""
    return [_pool(node, data, "MAX")]


@register("AveragePool")
def average_pool(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Pool without padding: `nbhelpers.onnxgraph.explicit_pooling` has made it explicit before."""
    return [_pool(node, data, "AVG")]


_POOLS = {
    ("MAX", 1): tf.nn.max_pool1d,
    ("MAX", 2): tf.nn.max_pool2d,
    ("MAX", 3): tf.nn.max_pool3d,
    ("AVG", 1): tf.nn.avg_pool1d,
    ("AVG", 2): tf.nn.avg_pool2d,
    ("AVG", 3): tf.nn.avg_pool3d,
}


def _pool(node: Node, data: tf.Tensor, kind: str) -> tf.Tensor:
    window = [int(size) for size in node.attrs["kernel_shape"]]
    explicit = node.attrs.get("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    if not explicit or any(node.attrs.get("pads", ())) or node.attrs.get("ceil_mode", 0):
        raise refusal(
            node,
            "still pads by itself (auto_pad, pads or ceil_mode), which TensorFlow rounds "
            "differently; its input size must be known so that the padding can be made "
            "explicit. Fix the spatial dims of the model's inputs.",
        )
    if len(node.outputs) > 1:
        raise refusal(
            node,
            "also returns indices, which are counted differently in TensorFlow; remove that "
            "output from the model.",
        )
    rank = len(window)
    if rank not in (1, 2, 3):
        raise refusal(
            node,
            f"pools over {len(window)} axes; TensorFlow knows one, two and three.",
        )
    ones = [1] * rank
    strides = [int(size) for size in node.attrs.get("strides", ones)]
    dilations = [int(size) for size in node.attrs.get("dilations", ones)]
    if rank == 3:
        # The layout optimiser leaves 3-D pools as they are; old runtimes know them in NDHWC only.
        data = tf.transpose(data, [0, 2, 3, 4, 1])
    layout = ("NCW", "NCHW", "NDHWC")[rank - 1]
    if max(dilations) > 1:
        pooled = tf.nn.pool(
            data, window, kind, strides, padding="VALID", data_format=layout, dilations=dilations
        )
    else:
        # Not tf.nn.pool, which refuses windows that are smaller than their stride.
        pooled = _POOLS[kind, rank](data, window, strides, "VALID", data_format=layout)
    if rank < 3:
        return pooled
    return tf.transpose(pooled, [0, 4, 1, 2, 3])
