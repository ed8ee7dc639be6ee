"""Layers: recurrent ones with the batch first, blocks of pixels, pools, quantisation, Gemm."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from onnxgraph.lowering.node_rewriter import Obstacle, Site
from onnxgraph.lowering.widened import keep


def recurrent(site: Site) -> None:
    """LSTM, GRU, RNN (14) with the batch first: transposed before and after."""
    if not site.attribute("layout", 0):
        return keep(site)
    inputs = list(site.node.input)
    for position in (0, 5, 6):  # X, initial_h, initial_c
        if site.input(position):
            inputs[position] = site.op("Transpose", site.input(position), perm=[1, 0, 2])
    outputs = [n for n, name in enumerate(site.node.output) if name]
    made = {n: site.scope.names.fresh(f"{site.label}/{n}") for n in outputs}
    site.give(site.node.op_type, *inputs, **site.attributes(without=["layout"]))
    node = site.made[-1]
    for n in outputs:
        node.output[n] = made[n]
        site.give("Transpose", made[n], place=n, perm=[2, 0, 1, 3] if n == 0 else [1, 0, 2])
    return None


def depth_to_space(site: Site) -> None:
    """DepthToSpace (11) in the order CRD: two Reshapes and a Transpose."""
    if site.attribute("mode", "DCR") != "CRD":
        return keep(site, mode=None)
    x, block = site.input(0), site.attribute("blocksize")
    channels = site.size(1) // block**2
    apart = site.dims([(x, 0), channels, block, block, (x, 2), (x, 3)])
    turned = site.op("Transpose", site.op("Reshape", x, apart), perm=[0, 1, 4, 2, 5, 3])
    return _merged(site, turned, [1, channels, block, block], x)


def _merged(site: Site, turned: str, sizes: list[int], x: str) -> None:
    """Reshape [N, C, H, b, W, b] to [N, C, H·b, W·b]."""
    _, channels, block, _ = sizes
    height, width = (
        site.op("Mul", site.op("Gather", site.op("Shape", x), [axis], axis=0), [block])
        for axis in (2, 3)
    )
    batch = site.op("Gather", site.op("Shape", x), [0], axis=0)
    shape = site.op("Concat", batch, [channels], height, width, axis=0)
    site.give("Reshape", turned, shape)


def space_to_depth(site: Site) -> None:
    """SpaceToDepth (28) in the order CRD: the usual one, its channels in another order."""
    if site.attribute("mode", "DCR") != "CRD":
        return keep(site, mode=None)
    block, channels = site.attribute("blocksize"), site.size(1)
    deep = site.op("SpaceToDepth", site.input(0), blocksize=block)
    order = np.arange(channels * block**2).reshape(block**2, channels).T.ravel()
    return site.give("Gather", deep, order, axis=1)


def transposed_convolution(site: Site) -> None:
    """ConvTranspose (11): what SAME_UPPER means was turned around."""
    if site.attribute("auto_pad", "NOTSET").startswith("SAME"):
        raise Obstacle("it has auto_pad=SAME, which was the other way round; write its pads out")
    keep(site)


def last_window(site: Site) -> None:
    """MaxPool, AveragePool (22): windows that begin in the padding at the end are dropped.

    Older definitions say nothing of it. Where only such windows are at stake, rounding down gives
    the same ones.
    """
    if not site.attribute("ceil_mode", 0) or None in site.shape()[2:]:
        return keep(site)
    kernel = site.attribute("kernel_shape")
    rank = len(kernel)
    strides, dilations = (site.attribute(name, [1] * rank) for name in ("strides", "dilations"))
    pads = site.attribute("pads", [0] * 2 * rank)
    same = True
    for axis in range(rank):
        begin, stride = pads[axis], strides[axis]
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        size = site.size(axis + 2)
        steps, rest = divmod(size + begin + pads[axis + rank] - reach, stride)
        same &= not rest or (steps + 1) * stride >= size + begin
    return keep(site, ceil_mode=None) if same else keep(site)


def pool_rounded_up(site: Site) -> None:
    """MaxPool (10) with ceil_mode: more padding at the end, as far as the last window reaches."""
    if not site.attribute("ceil_mode", 0):
        return keep(site)
    kernel = site.attribute("kernel_shape")
    rank = len(kernel)
    strides, pads = site.attribute("strides", [1] * rank), site.attribute("pads", [0] * 2 * rank)
    padded = list(pads)
    for axis in range(rank):
        size = site.size(axis + 2)
        rest = (size + pads[axis] + pads[axis + rank] - kernel[axis]) % strides[axis]
        padded[axis + rank] += (strides[axis] - rest) % strides[axis]
    return keep(site, ceil_mode=None, pads=padded)


def gemm(site: Site) -> None:
    """Gemm (11): C was required."""
    if site.input(2):
        return keep(site)
    return site.give("Gemm", *site.node.input[:2], 0.0, **site.attributes())


def with_zero_point(site: Site) -> None:
    """QuantizeLinear (21, 23): the type is that of the zero point, not an attribute."""
    wanted = site.attribute("output_dtype", 0)
    if not wanted or site.input(2):
        return keep(site, output_dtype=None, precision=None)
    zero = np.zeros(site.shape(1), helper.tensor_dtype_to_np_dtype(wanted))  # type: ignore[arg-type]
    inputs = (*site.node.input[:2], zero)
    return site.give(site.node.op_type, *inputs, **site.attributes(without=["output_dtype"]))


def dequantize_by_axis(site: Site) -> None:
    """DequantizeLinear (13) with a scale for each channel: (x − zero) · scale."""
    if site.shape(1) in ([], [1]):
        return keep(site, axis=None)
    scale, zero = _by_axis(site)
    whole = site.cast(site.input(0), TensorProto.INT32)
    if zero:
        whole = site.op("Sub", whole, site.cast(zero, TensorProto.INT32))
    return site.give("Mul", site.cast(whole, TensorProto.FLOAT), scale)


def quantize_by_axis(site: Site) -> None:
    """QuantizeLinear (13) with a scale for each channel: round(x / scale) + zero, saturated."""
    if site.shape(1) in ([], [1]):
        return keep(site, axis=None)
    scale, zero = _by_axis(site)
    dtype = site.dtype(2) if zero else TensorProto.UINT8
    limits = np.iinfo(helper.tensor_dtype_to_np_dtype(dtype))
    whole = site.op("Round", site.op("Div", site.input(0), scale))
    if zero:
        whole = site.op("Add", whole, site.cast(zero, TensorProto.FLOAT))
    bounds = [np.array(bound, np.float32) for bound in (limits.min, limits.max)]
    return site.give("Cast", site.op("Clip", whole, *bounds), to=dtype)


def _by_axis(site: Site) -> tuple[str, str]:
    """Return scale and zero point, with dims of 1 after the axis."""
    axis, rank = site.attribute("axis", 1), site.rank()
    after = list(range(1, rank - axis % rank))
    names = [site.input(position) for position in (1, 2)]
    if not after:
        return names[0], names[1]
    unsqueezed = [name and site.op("Unsqueeze", name, axes=after) for name in names]
    return unsqueezed[0], unsqueezed[1]


def dequantize(site: Site) -> None:
    """DequantizeLinear (10): (x − zero) · scale."""
    whole = site.cast(site.input(0), TensorProto.INT32)
    if site.input(2):
        whole = site.op("Sub", whole, site.cast(site.input(2), TensorProto.INT32))
    site.give("Mul", site.cast(whole, TensorProto.FLOAT), site.input(1))


def product_of_integers(site: Site) -> None:
    """MatMulInteger (10): in float64, which holds every sum of int8 products."""
    wide = []
    for position in (0, 1):
        whole = site.cast(site.input(position), TensorProto.INT32)
        if site.input(position + 2):
            if site.rank(position + 2):
                raise Obstacle("it has a zero point for each row; use one for all")
            whole = site.op("Sub", whole, site.cast(site.input(position + 2), TensorProto.INT32))
        wide.append(site.cast(whole, TensorProto.DOUBLE))
    site.give("Cast", site.op("MatMul", *wide), to=onnx.TensorProto.INT32)


RULES = {
    **{(op, 14): recurrent for op in ("LSTM", "GRU", "RNN")},
    ("DepthToSpace", 11): depth_to_space,
    ("SpaceToDepth", 28): space_to_depth,
    ("ConvTranspose", 11): transposed_convolution,
    ("AveragePool", 22): last_window,
    ("MaxPool", 22): last_window,
    ("MaxPool", 10): pool_rounded_up,
    ("Gemm", 11): gemm,
    ("QuantizeLinear", 23): with_zero_point,
    ("QuantizeLinear", 21): with_zero_point,
    ("DequantizeLinear", 13): dequantize_by_axis,
    ("QuantizeLinear", 13): quantize_by_axis,
    ("DequantizeLinear", 10): dequantize,
    ("MatMulInteger", 10): product_of_integers,
}
