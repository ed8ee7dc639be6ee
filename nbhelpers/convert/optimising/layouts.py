"""What tells Grappler that a tensor is an image in NCHW, where it would not see it by itself.

It moves ops that work on any layout (slices, say) to NHWC only between ops that have a layout.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


def layout_anchor(images: Any) -> Any:
    """Return images in NCHW (float32) through a pool of one cell, which is an op with a layout."""
    import tensorflow as tf

    return tf.nn.max_pool2d(images, 1, 1, "VALID", data_format="NCHW")


def lift_anchors(nodes: "Iterable[NodeDef]") -> None:
    """Make every pool of one cell an Identity, in place; that is all it does."""
    for node in nodes:
        if node.op == "MaxPool" and _is_one_cell(node):
            node.op = "Identity"
            for name in [name for name in node.attr if name != "T"]:
                del node.attr[name]


def _is_one_cell(pool: "NodeDef") -> bool:
    return all(set(pool.attr[name].list.i) == {1} for name in ("ksize", "strides"))
