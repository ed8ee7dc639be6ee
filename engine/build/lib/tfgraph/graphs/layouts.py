"""What tells Grappler that a tensor is an image in NCHW, where it would not see it by itself.

It moves ops that work on any layout (slices, say) to NHWC only between ops that have a layout.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

TO_NCHW = [0, 3, 1, 2]


def to_nchw(images: Any) -> Any:
    """Return images [N, H, W, C] as [N, C, H, W], with an anchor (of float32) to say what they are.

    The anchor is a pool of one cell: an op that has a layout, and does nothing.
    """
    import tensorflow as tf

    moved = tf.transpose(images, TO_NCHW)
    if images.dtype != tf.float32:
        return moved
    return tf.nn.max_pool2d(moved, 1, 1, "VALID", data_format="NCHW")


def lift_anchors(nodes: "Iterable[NodeDef]") -> None:
    """Make every pool of one cell an Identity, in place; that is all it does."""
    for node in nodes:
        if node.op == "MaxPool" and _is_one_cell(node):
            node.op = "Identity"
            for name in [name for name in node.attr if name != "T"]:
                del node.attr[name]


def _is_one_cell(pool: "NodeDef") -> bool:
    return all(set(pool.attr[name].list.i) == {1} for name in ("ksize", "strides"))
