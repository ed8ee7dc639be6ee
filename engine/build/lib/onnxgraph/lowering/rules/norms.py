"""Layer and group normalisation by means and variances; BatchNormalization out of training."""

import numpy as np
import onnx

from onnxgraph.lowering.node_rewriter import Obstacle, Operand, Site
from onnxgraph.lowering.widened import keep

HALF = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


def layer(site: Site) -> None:
    """LayerNormalization (17): (x − mean) / √(variance + ε) · scale + bias."""
    x, axes, epsilon = _single(site)
    mean = site.op("ReduceMean", x, axes=axes, keepdims=1)
    centred = site.op("Sub", x, mean)
    square = site.op("Mul", centred, centred)
    variance = site.op("ReduceMean", square, axes=axes, keepdims=1)
    deviation = site.op("Sqrt", site.op("Add", variance, epsilon))
    normal = site.op("Div", centred, deviation)
    _scaled(site, _as_given(site, normal), site.input(1), site.input(2))
    if site.output(1):
        site.give("Identity", mean, place=1)
    if site.output(2):
        site.give("Reciprocal", deviation, place=2)


def root_mean_square(site: Site) -> None:
    """RMSNormalization (23): x / √(mean of x² + ε) · scale."""
    x, axes, epsilon = _single(site)
    square = site.op("Mul", x, x)
    mean = site.op("ReduceMean", square, np.array(axes, np.int64), keepdims=1)
    normal = site.op("Div", x, site.op("Sqrt", site.op("Add", mean, epsilon)))
    _scaled(site, _as_given(site, normal), site.input(1), "")


def _single(site: Site) -> tuple[str, list[int], np.ndarray]:
    """Return the data (halves as float32, as stash_type says), the axes from the back, and ε."""
    axis = site.attribute("axis", -1)
    axes = list(range(axis if axis < 0 else axis - site.rank(), 0))
    x, dtype = site.input(0), site.dtype() or onnx.TensorProto.FLOAT
    if _is_stashed(site):
        x, dtype = site.cast(x, onnx.TensorProto.FLOAT), onnx.TensorProto.FLOAT
    epsilon = site.attribute("epsilon", 1e-5)
    return x, axes, np.array(epsilon, onnx.helper.tensor_dtype_to_np_dtype(dtype))


def _as_given(site: Site, normal: str) -> str:
    return site.cast(normal, site.dtype()) if _is_stashed(site) else normal


def _is_stashed(site: Site) -> bool:
    return site.dtype() in HALF and site.attribute("stash_type", 1) == 1


def group_by_channel(site: Site) -> None:
    """GroupNormalization (21): groups as instances; scale and bias are of each channel."""
    rank = site.rank()
    normal = _grouped(site, *_ones_and_zeros(site))
    axes = list(range(1, rank - 1))
    scale, bias = (site.op("Unsqueeze", site.input(i), axes) for i in (1, 2))
    _scaled(site, normal, scale, bias)


def group_by_group(site: Site) -> None:
    """GroupNormalization (18 to 20): scale and bias are of each group."""
    normal = _grouped(site, site.input(1), site.input(2))
    site.give("Identity", normal)


def _grouped(site: Site, scale: Operand, bias: Operand) -> str:
    groups = site.attribute("num_groups")
    shape = site.op("Shape", site.input(0))
    flat = site.op("Reshape", site.input(0), [0, groups, -1])
    epsilon = site.attribute("epsilon", 1e-5)
    normal = site.op("InstanceNormalization", flat, scale, bias, epsilon=epsilon)
    return site.op("Reshape", normal, shape)


def _ones_and_zeros(site: Site) -> list[np.ndarray]:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(site.dtype() or onnx.TensorProto.FLOAT)
    groups = site.attribute("num_groups")
    return [np.ones(groups, dtype), np.zeros(groups, dtype)]


def _scaled(site: Site, normal: str, scale: str, bias: str) -> None:
    if not bias:
        return site.give("Mul", normal, scale, place=0)
    return site.give("Add", site.op("Mul", normal, scale), bias, place=0)


def batch_in_inference(site: Site) -> None:
    """BatchNormalization (14): without training it is that of opset 9."""
    if site.attribute("training_mode", 0) or any(site.node.output[1:]):
        raise Obstacle("its training_mode is on; export the model after model.eval()")
    keep(site, training_mode=None)


RULES = {
    ("LayerNormalization", 17): layer,
    ("RMSNormalization", 23): root_mean_square,
    ("GroupNormalization", 21): group_by_channel,
    ("GroupNormalization", 18): group_by_group,
    ("BatchNormalization", 14): batch_in_inference,
}
