"""Shuffles of channels (as in ShuffleNet), written so that the images can stay in NHWC.

ONNX writes a shuffle as three nodes: a reshape from [N, C, H, W] to [N, groups, C / groups, H, W],
a transposition of two axes, and a reshape back.
"""

import tensorflow as tf

from tfgraph.graphs.layouts import to_nchw

_ORDER = [0, 2, 1, 3, 4]


def shuffled(data: tf.Tensor, result: tf.Tensor) -> tf.Tensor:
    """Return `result`, a reshape of `data`, or the same shuffle in NHWC if it ends one.

    Grappler moves neither of the two reshapes to NHWC. It would move the images out of NHWC before
    them, and back after them.
    """
    images = _unshuffled(data, result)
    if images is None:
        return result
    channels, *spatial = images.shape.as_list()[1:]
    groups = data.shape.as_list()[2]
    parts = tf.reshape(
        tf.transpose(images, [0, 2, 3, 1]), [-1, *spatial, groups, channels // groups]
    )
    last = tf.reshape(tf.transpose(parts, [0, 1, 2, 4, 3]), [-1, *spatial, channels])
    return to_nchw(last)


def _unshuffled(data: tf.Tensor, result: tf.Tensor) -> tf.Tensor | None:
    """Return the images [N, C, H, W] whose channels are shuffled, or None if they are not."""
    if data.op.type != "Transpose" or data.op.inputs[0].op.type != "Reshape":
        return None
    grouped, order = data.op.inputs
    images = grouped.op.inputs[0]
    shape = images.shape.as_list()[1:]
    if None in shape or len(shape) != 3:
        return None
    if result.shape.as_list()[1:] != shape or grouped.shape.as_list()[3:] != shape[1:]:
        return None
    return images if list(tf.get_static_value(order)) == _ORDER else None
