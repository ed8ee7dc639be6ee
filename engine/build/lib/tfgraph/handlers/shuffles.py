"""Shuffles of channels (ShuffleNet's), written so that their images can stay in NHWC.

ONNX writes one as three nodes: [N, C, H, W] is reshaped to [N, groups, C / groups, H, W], two axes
change places, and the shape is restored.
"""

import tensorflow as tf

from tfgraph.graphs.layouts import to_nchw

_ORDER = [0, 2, 1, 3, 4]


def shuffled(data: tf.Tensor, result: tf.Tensor) -> tf.Tensor:
    """Return `result`, a reshape of `data`; if it ends a shuffle, one that is done in NHWC.

    Grappler takes neither of the two reshapes from one layout to the other, and would move the
    images out of NHWC and back around them.
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
    """Return the images [N, C, H, W] whose channels are shuffled, if that is what is done."""
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
