"""Tell Grappler that a tensor is an image in NCHW, where it would not detect that by itself.

Grappler moves ops that work on any layout, for example slices, to NHWC only if they are between ops
that have a layout.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

TO_NCHW = [0, 3, 1, 2]


def to_nchw(images: Any) -> Any:
    """Return images [N, H, W, C] as [N, C, H, W], followed by an anchor if they are float32.

    The anchor is a max pool with a 1×1 window. It does nothing, but has a layout that Grappler
    sees.
    """
    import tensorflow as tf

    moved = tf.transpose(images, TO_NCHW)
    if images.dtype != tf.float32:
        return moved
    return tf.nn.max_pool2d(moved, 1, 1, "VALID", data_format="NCHW")


def lift_anchors(nodes: "Iterable[NodeDef]") -> None:
    """Replace every pool with a 1×1 window by an Identity, in place, because it does nothing."""
    for node in nodes:
        if node.op == "MaxPool" and _is_one_cell(node):
            node.op = "Identity"
            for name in [name for name in node.attr if name != "T"]:
                del node.attr[name]


def _is_one_cell(pool: "NodeDef") -> bool:
    return all(set(pool.attr[name].list.i) == {1} for name in ("ksize", "strides"))
