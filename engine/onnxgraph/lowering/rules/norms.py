"""Layer and group normalisation by means and variances, and BatchNormalization for inference."""

import numpy as np
import onnx

from onnxgraph.lowering.node_rewriter import NodeRewriter, NotLowered, Operand
from onnxgraph.lowering.widened_ops import keep

HALF = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


def layer(node: NodeRewriter) -> None:
    """LayerNormalization (17): (x − mean) / √(variance + ε) · scale + bias."""
    x, axes, epsilon = _single(node)
    mean = node.op("ReduceMean", x, axes=axes, keepdims=1)
    centred = node.op("Sub", x, mean)
    square = node.op("Mul", centred, centred)
    variance = node.op("ReduceMean", square, axes=axes, keepdims=1)
    deviation = node.op("Sqrt", node.op("Add", variance, epsilon))
    normal = node.op("Div", centred, deviation)
    _scaled(node, _as_given(node, normal), node.input(1), node.input(2))
    if node.output(1):
        node.give("Identity", mean, place=1)
    if node.output(2):
        node.give("Reciprocal", deviation, place=2)


def root_mean_square(node: NodeRewriter) -> None:
    """RMSNormalization (23): x / √(mean of x² + ε) · scale."""
    x, axes, epsilon = _single(node)
    square = node.op("Mul", x, x)
    mean = node.op("ReduceMean", square, np.array(axes, np.int64), keepdims=1)
    normal = node.op("Div", x, node.op("Sqrt", node.op("Add", mean, epsilon)))
    _scaled(node, _as_given(node, normal), node.input(1), "")


def _single(node: NodeRewriter) -> tuple[str, list[int], np.ndarray]:
    """Return the data, the axes counted from the end, and ε.

    Halves become float32, as stash_type states.
    """
    axis = node.attribute("axis", -1)
    axes = list(range(axis if axis < 0 else axis - node.rank(), 0))
    x, dtype = node.input(0), node.dtype() or onnx.TensorProto.FLOAT
    if _is_stashed(node):
        x, dtype = node.cast(x, onnx.TensorProto.FLOAT), onnx.TensorProto.FLOAT
    epsilon = node.attribute("epsilon", 1e-5)
    return x, axes, np.array(epsilon, onnx.helper.tensor_dtype_to_np_dtype(dtype))


def _as_given(node: NodeRewriter, normal: str) -> str:
    return node.cast(normal, node.dtype()) if _is_stashed(node) else normal


def _is_stashed(node: NodeRewriter) -> bool:
    return node.dtype() in HALF and node.attribute("stash_type", 1) == 1


def group_by_channel(node: NodeRewriter) -> None:
    """GroupNormalization (21): treat groups as instances. Scale and bias belong to channels."""
    rank = node.rank()
    normal = _grouped(node, *_ones_and_zeros(node))
    axes = list(range(1, rank - 1))
    scale, bias = (node.op("Unsqueeze", node.input(i), axes) for i in (1, 2))
    _scaled(node, normal, scale, bias)


def group_by_group(node: NodeRewriter) -> None:
    """GroupNormalization (18 to 20): scale and bias belong to groups."""
    normal = _grouped(node, node.input(1), node.input(2))
    node.give("Identity", normal)


def _grouped(node: NodeRewriter, scale: Operand, bias: Operand) -> str:
    groups = node.attribute("num_groups")
    shape = node.op("Shape", node.input(0))
    flat = node.op("Reshape", node.input(0), [0, groups, -1])
    epsilon = node.attribute("epsilon", 1e-5)
    normal = node.op("InstanceNormalization", flat, scale, bias, epsilon=epsilon)
    return node.op("Reshape", normal, shape)


def _ones_and_zeros(node: NodeRewriter) -> list[np.ndarray]:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(node.dtype() or onnx.TensorProto.FLOAT)
    groups = node.attribute("num_groups")
    return [np.ones(groups, dtype), np.zeros(groups, dtype)]


def _scaled(node: NodeRewriter, normal: str, scale: str, bias: str) -> None:
    if not bias:
        return node.give("Mul", normal, scale, place=0)
    return node.give("Add", node.op("Mul", normal, scale), bias, place=0)


def batch_in_inference(node: NodeRewriter) -> None:
    """BatchNormalization (14): without training it is that of opset 9."""
    if node.attribute("training_mode", 0) or any(node.proto.output[1:]):
        raise NotLowered("its training_mode is on; export the model after model.eval()")
    keep(node, training_mode=None)


RULES = {
    ("LayerNormalization", 17): layer,
    ("RMSNormalization", 23): root_mean_square,
    ("GroupNormalization", 21): group_by_channel,
    ("GroupNormalization", 18): group_by_group,
    ("BatchNormalization", 14): batch_in_inference,
}
