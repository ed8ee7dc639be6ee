"""A rule for NonMaxSuppression, whose kernel in TensorFlow 1.15 differs from all others."""

from typing import TYPE_CHECKING, Any

import numpy as np

from tfgraph.graphs.shapes import Shapes
from tfgraph.retargeting.rules.composing import composed
from tfgraph.retargeting.rules.node_writer import FLOAT, INT32
from tfgraph.retargeting.rules.registry import rule

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


@rule("NonMaxSuppressionV2", until="tf1.15")
def non_max_suppression_v2(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Use the next larger threshold, and boxes that all have an area.

    The reason is that TensorFlow 1.15 also drops a box whose overlap equals the threshold. It also
    returns one box again and again if some box has no area or is not finite.
    """
    if node.attr["T"].type != FLOAT:
        return None

    def select(boxes: Any, scores: Any, most: Any, threshold: Any) -> Any:
        import tensorflow as tf

        return tf.raw_ops.NonMaxSuppressionV2(
            boxes=_moved(boxes, threshold),
            scores=scores,
            max_output_size=most,
            iou_threshold=_above(threshold),
        )

    return composed(node, shapes, [FLOAT, FLOAT, INT32, FLOAT], select)


def _moved(boxes: Any, threshold: Any) -> Any:
    """Return the boxes, with each box that can never overlap another one moved to a free place.

    A box without a finite area never overlaps another, and if the threshold is 1 or more, no box
    counts as overlapping. The places are far above all pictures, side by side.
    """
    import tensorflow as tf

    sides = tf.abs(boxes[:, 2:] - boxes[:, :2])
    area = sides[:, 0] * sides[:, 1]
    plain = (area > 0) & (area < np.inf) & (threshold < 1)
    left = 2 * tf.range(tf.shape(boxes)[0])
    left = tf.cast(left, tf.float32)
    highest = np.finfo(np.float32).max
    ends = [tf.fill(tf.shape(left), height) for height in (highest / 2, highest)]
    apart = tf.stack([ends[0], left, ends[1], left + 1], axis=1)
    return tf.raw_ops.Select(condition=plain, x=boxes, y=apart)


def _above(threshold: Any) -> Any:
    """Return the next larger float that no processor rounds to zero, but at most 1."""
    import tensorflow as tf

    next_one = tf.bitcast(tf.bitcast(threshold, tf.int32) + 1, tf.float32)
    return tf.minimum(tf.maximum(next_one, np.finfo(np.float32).tiny), 1)
