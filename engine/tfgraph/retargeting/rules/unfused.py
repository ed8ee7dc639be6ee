"""Rewrite ops so that no graph optimiser fuses them with a convolution before them.

TensorFlow's kernels for fused ops support less than those for the single ops: without oneDNN none
of them supports groups. With oneDNN a sum is fused like a bias, so nothing is lost there.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from tfgraph.graphs.node_defs import like
from tfgraph.graphs.shapes import Shapes
from tfgraph.retargeting.rules.composing import composed
from tfgraph.retargeting.rules.node_writer import FLOAT, Writer
from tfgraph.retargeting.rules.registry import unfused

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


@unfused("BiasAdd")
def bias_add(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Use a sum, which broadcasts in the same way where channels are last."""
    if node.attr["data_format"].s != b"NCHW":
        return [like(node, "Add", "T")]
    shape = shapes.of(node.input[0])
    if shape is None:
        return None
    write, dtype = Writer(node), node.attr["T"].type
    sizes = write.const("shape", [-1, *[1] * (len(shape) - 2)])
    bias = write.add("bias", "Reshape", node.input[1], sizes, T=dtype)
    return write.last("Add", node.input[0], bias, T=dtype)


@unfused("FusedBatchNorm")
@unfused("FusedBatchNormV2")
@unfused("FusedBatchNormV3")
def fused_batch_norm(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Multiply and add, with a factor and an offset computed from the stored statistics."""
    layout = node.attr["data_format"].s.decode()
    if node.attr["is_training"].b or layout not in ("NHWC", "NCHW"):
        return None
    known = [shapes.constant(source) for source in node.input[1:5]]
    epsilon = node.attr["epsilon"].f
    column = [-1, 1, 1] if layout == "NCHW" else [-1]

    def normalise(images: Any, *parameters: Any) -> Any:
        import tensorflow as tf

        if all(value is not None for value in known):
            parameters = tuple(np.asarray(value, np.float64) for value in known)
        scale, offset, mean, variance = parameters
        root = np.sqrt if isinstance(variance, np.ndarray) else tf.sqrt
        factor = scale / root(variance + epsilon)
        both = [tf.cast(each, tf.float32) for each in (factor, offset - mean * factor)]
        factor, offset = (tf.reshape(each, column) for each in both)
        return images * factor + offset

    return composed(node, shapes, [FLOAT] * 5, normalise)
