"""NonMaxSuppression."""

import numpy as np
import tensorflow as tf

from tfgraph.handlers.loops import while_true
from tfgraph.handlers.registry import Node, register
from tfgraph.handlers.sizes import as_tensor, size_of


@register("NonMaxSuppression")
def non_max_suppression(
    node: Node,
    boxes: tf.Tensor,
    scores: tf.Tensor,
    largest: tf.Tensor | None = None,
    overlap: tf.Tensor | None = None,
    lowest: tf.Tensor | None = None,
) -> tf.Tensor:
    """Return (batch, class, box) of the boxes that are kept, ordered by image and then by class.

    Boxes without a finite area overlap nothing. A NaN score counts as the lowest.
    """
    if largest is None:
        return tf.zeros([0, 3], tf.int64)
    most = tf.cast(tf.clip_by_value(tf.reshape(largest, []), 0, tf.int32.max), tf.int32)
    limit = tf.constant(0.0) if overlap is None else tf.reshape(overlap, [])
    if node.attrs.get("center_point_box", 0):
        boxes = _corners(boxes)
    batches, classes = (as_tensor(size_of(scores, axis)) for axis in (0, 1))

    def keep(batch: tf.Tensor | int, kind: tf.Tensor | int) -> tf.Tensor:
        each = _without_nan(scores[batch, kind])
        count = tf.size(each)
        if lowest is not None:
            above = tf.greater(each, tf.reshape(lowest, []))
            count = tf.reduce_sum(tf.cast(above, tf.int32))
        # We rank the boxes, because equal scores have no fixed order in old TensorFlows.
        order = tf.math.top_k(each, count).indices
        ranks = -tf.cast(tf.range(count), tf.float32)
        chosen = tf.raw_ops.NonMaxSuppressionV2(
            boxes=tf.gather(boxes[batch], order),
            scores=ranks,
            max_output_size=most,
            iou_threshold=limit,
        )
        found = tf.cast(tf.gather(order, chosen), tf.int64)[:, None]
        places = [tf.cast(each, tf.int64) + tf.zeros_like(found) for each in (batch, kind)]
        return tf.concat([*places, found], 1)

    if scores.shape[0] == 1 and scores.shape[1] == 1:
        return keep(0, 0)
    (result,), _ = while_true(
        lambda step, states: step < batches * classes,
        lambda step, states: (
            [tf.concat([states[0], keep(step // classes, step % classes)], 0)],
            [],
        ),
        [tf.zeros([0, 3], tf.int64)],
        shapes=[tf.TensorShape([None, 3])],
        outputs=[],
    )
    return result


def _corners(boxes: tf.Tensor) -> tf.Tensor:
    """Turn (x centre, y centre, width, height) into (y, x) of two corners.

    A box with a negative width or height becomes one without an area, which overlaps nothing.
    """
    x, y, width, height = tf.unstack(boxes, num=4, axis=-1)
    half_width, half_height = (tf.maximum(side, 0) / 2 for side in (width, height))
    return tf.stack([y - half_height, x - half_width, y + half_height, x + half_width], axis=-1)


def _without_nan(scores: tf.Tensor) -> tf.Tensor:
    """Return the scores with −inf for NaN, which might otherwise be sorted as high."""
    return tf.compat.v1.where(tf.math.is_nan(scores), tf.fill(tf.shape(scores), -np.inf), scores)
