"""Move blocks of pixels to channels and back."""

import tensorflow as tf

from tfgraph.handlers.registry import Node, register
from tfgraph.handlers.sizes import size_of, vector


@register("DepthToSpace")
def depth_to_space(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Move channels to blocks. The block comes before the channels (DCR) or after them (CRD)."""
    block = int(node.attrs["blocksize"])
    if block == 1:
        return tf.identity(data)
    if node.attrs.get("mode", "DCR") == "DCR":
        return tf.nn.depth_to_space(data, block, data_format="NCHW")
    # One permutation in NHWC is faster than TensorFlow's op after a gather of channels. Its
    # transposes cancel those that the layout optimiser leaves beside convolutions.
    height, width = size_of(data, 2), size_of(data, 3)
    last = tf.transpose(data, [0, 2, 3, 1])
    channels = size_of(data, 1) // (block * block)
    parted = tf.reshape(last, vector([-1, height, width, channels, block, block]))
    moved = tf.transpose(parted, [0, 1, 4, 2, 5, 3])
    whole = tf.reshape(moved, vector([-1, height * block, width * block, channels]))
    return tf.transpose(whole, [0, 3, 1, 2])


@register("SpaceToDepth")
def space_to_depth(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Move blocks to channels. The block comes before the channels (DCR) or after them (CRD)."""
    block = int(node.attrs["blocksize"])
    if block == 1:
        return tf.identity(data)
    if node.attrs.get("mode", "DCR") == "DCR":
        return tf.nn.space_to_depth(data, block, data_format="NCHW")
    height, width = size_of(data, 2) // block, size_of(data, 3) // block
    last = tf.transpose(data, [0, 2, 3, 1])
    channels = size_of(data, 1)
    parted = tf.reshape(last, vector([-1, height, block, width, block, channels]))
    moved = tf.transpose(parted, [0, 1, 3, 5, 2, 4])
    whole = tf.reshape(moved, vector([-1, height, width, channels * block * block]))
    return tf.transpose(whole, [0, 3, 1, 2])
