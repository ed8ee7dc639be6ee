"""Rules for products and normalisation."""

from typing import TYPE_CHECKING

from nbhelpers.convert.rules.rewriting import Shapes, like, rule

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


@rule("BatchMatMulV2")
def batch_mat_mul_v2(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """BatchMatMul, where the leading axes are equal and so nothing is broadcast."""
    left, right = (shapes.of(source) for source in node.input)
    if left is None or right is None or len(left) != len(right):
        return None
    if left[:-2] != right[:-2] or left[:-2].count(None) > 1:
        return None
    return [like(node, "BatchMatMul", "T", "adj_x", "adj_y")]


@rule("FusedBatchNormV3")
def fused_batch_norm_v3(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """FusedBatchNorm: the third version adds an output and a type, both for training."""
    if node.attr["is_training"].b or node.attr["data_format"].s not in (b"NHWC", b"NCHW"):
        return None
    return [like(node, "FusedBatchNorm", "T", "epsilon", "data_format", "is_training")]
