"""Layers: recurrent ones with the batch first, blocks of pixels, pools, quantisation, Gemm."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from onnxgraph.lowering.node_rewriter import NodeRewriter, NotLowered
from onnxgraph.lowering.widened_ops import keep


def recurrent(node: NodeRewriter) -> None:
    """LSTM, GRU, RNN (14) with the batch first: transpose before and after."""
    if not node.attribute("layout", 0):
        return keep(node)
    inputs = list(node.proto.input)
    for position in (0, 5, 6):  # X, initial_h, initial_c
        if node.input(position):
            inputs[position] = node.op("Transpose", node.input(position), perm=[1, 0, 2])
    outputs = [n for n, name in enumerate(node.proto.output) if name]
    made = {n: node.scope.fresh_name(f"{node.label}/{n}") for n in outputs}
    node.give(node.proto.op_type, *inputs, **node.attributes(without=["layout"]))
    emitted = node.made[-1]
    for n in outputs:
        emitted.output[n] = made[n]
        node.give("Transpose", made[n], place=n, perm=[2, 0, 1, 3] if n == 0 else [1, 0, 2])
    return None


def depth_to_space(node: NodeRewriter) -> None:
    """DepthToSpace (11) in the order CRD: two Reshapes and a Transpose."""
    if node.attribute("mode", "DCR") != "CRD":
        return keep(node, mode=None)
    x, block = node.input(0), node.attribute("blocksize")
    channels = node.size(1) // block**2
    apart = node.dims([(x, 0), channels, block, block, (x, 2), (x, 3)])
    turned = node.op("Transpose", node.op("Reshape", x, apart), perm=[0, 1, 4, 2, 5, 3])
    return _merged(node, turned, [1, channels, block, block], x)


def _merged(node: NodeRewriter, turned: str, sizes: list[int], x: str) -> None:
    """Reshape [N, C, H, b, W, b] to [N, C, H·b, W·b]."""
    _, channels, block, _ = sizes
    height, width = (
        node.op("Mul", node.op("Gather", node.op("Shape", x), [axis], axis=0), [block])
        for axis in (2, 3)
    )
    batch = node.op("Gather", node.op("Shape", x), [0], axis=0)
    shape = node.op("Concat", batch, [channels], height, width, axis=0)
    node.give("Reshape", turned, shape)


def space_to_depth(node: NodeRewriter) -> None:
    """SpaceToDepth (28) in the order CRD: the usual op, with its channels in another order."""
    if node.attribute("mode", "DCR") != "CRD":
        return keep(node, mode=None)
    block, channels = node.attribute("blocksize"), node.size(1)
    deep = node.op("SpaceToDepth", node.input(0), blocksize=block)
    order = np.arange(channels * block**2).reshape(block**2, channels).T.ravel()
    return node.give("Gather", deep, order, axis=1)


def transposed_convolution(node: NodeRewriter) -> None:
    """ConvTranspose (11): older versions had the opposite meaning of SAME_UPPER."""
    if node.attribute("auto_pad", "NOTSET").startswith("SAME"):
        raise NotLowered("it has auto_pad=SAME, which was the other way round; write its pads out")
    keep(node)


def last_window(node: NodeRewriter) -> None:
    """MaxPool, AveragePool (22): windows that begin in the padding at the end are dropped.

    Older definitions do not mention such windows. If ceil_mode adds only such windows, rounding
    down gives the same windows.
    """
    if not node.attribute("ceil_mode", 0) or None in node.shape()[2:]:
        return keep(node)
    kernel = node.attribute("kernel_shape")
    rank = len(kernel)
    strides, dilations = (node.attribute(name, [1] * rank) for name in ("strides", "dilations"))
    pads = node.attribute("pads", [0] * 2 * rank)
    same = True
    for axis in range(rank):
        begin, stride = pads[axis], strides[axis]
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        size = node.size(axis + 2)
        steps, rest = divmod(size + begin + pads[axis + rank] - reach, stride)
        same &= not rest or (steps + 1) * stride >= size + begin
    return keep(node, ceil_mode=None) if same else keep(node)


def pool_rounded_up(node: NodeRewriter) -> None:
    """MaxPool (10) with ceil_mode: pad the end as far as the last window reaches."""
    if not node.attribute("ceil_mode", 0):
        return keep(node)
    kernel = node.attribute("kernel_shape")
    rank = len(kernel)
    strides, pads = node.attribute("strides", [1] * rank), node.attribute("pads", [0] * 2 * rank)
    padded = list(pads)
    for axis in range(rank):
        size = node.size(axis + 2)
        rest = (size + pads[axis] + pads[axis + rank] - kernel[axis]) % strides[axis]
        padded[axis + rank] += (strides[axis] - rest) % strides[axis]
    return keep(node, ceil_mode=None, pads=padded)


def gemm(node: NodeRewriter) -> None:
    """Gemm (11): C was required."""
    if node.input(2):
        return keep(node)
    return node.give("Gemm", *node.proto.input[:2], 0.0, **node.attributes())


def with_zero_point(node: NodeRewriter) -> None:
    """QuantizeLinear (21, 23): the type is that of the zero point, not an attribute."""
    wanted = node.attribute("output_dtype", 0)
    if not wanted or node.input(2):
        return keep(node, output_dtype=None, precision=None)
    zero = np.zeros(node.shape(1), helper.tensor_dtype_to_np_dtype(wanted))  # type: ignore[arg-type]
    inputs = (*node.proto.input[:2], zero)
    return node.give(node.proto.op_type, *inputs, **node.attributes(without=["output_dtype"]))


def dequantize_by_axis(node: NodeRewriter) -> None:
    """DequantizeLinear (13) with a scale for each channel: (x − zero) · scale."""
    if node.shape(1) in ([], [1]):
        return keep(node, axis=None)
    scale, zero = _by_axis(node)
    whole = node.cast(node.input(0), TensorProto.INT32)
    if zero:
        whole = node.op("Sub", whole, node.cast(zero, TensorProto.INT32))
    return node.give("Mul", node.cast(whole, TensorProto.FLOAT), scale)


def quantize_by_axis(node: NodeRewriter) -> None:
    """QuantizeLinear (13) with a scale for each channel: round(x / scale) + zero, saturated."""
    if node.shape(1) in ([], [1]):
        return keep(node, axis=None)
    scale, zero = _by_axis(node)
    dtype = node.dtype(2) if zero else TensorProto.UINT8
    limits = np.iinfo(helper.tensor_dtype_to_np_dtype(dtype))
    whole = node.op("Round", node.op("Div", node.input(0), scale))
    if zero:
        whole = node.op("Add", whole, node.cast(zero, TensorProto.FLOAT))
    bounds = [np.array(bound, np.float32) for bound in (limits.min, limits.max)]
    return node.give("Cast", node.op("Clip", whole, *bounds), to=dtype)


def _by_axis(node: NodeRewriter) -> tuple[str, str]:
    """Return scale and zero point, with dims of 1 after the axis."""
    axis, rank = node.attribute("axis", 1), node.rank()
    after = list(range(1, rank - axis % rank))
    names = [node.input(position) for position in (1, 2)]
    if not after:
        return names[0], names[1]
    unsqueezed = [name and node.op("Unsqueeze", name, axes=after) for name in names]
    return unsqueezed[0], unsqueezed[1]


def dequantize(node: NodeRewriter) -> None:
    """DequantizeLinear (10): (x − zero) · scale."""
    whole = node.cast(node.input(0), TensorProto.INT32)
    if node.input(2):
        whole = node.op("Sub", whole, node.cast(node.input(2), TensorProto.INT32))
    node.give("Mul", node.cast(whole, TensorProto.FLOAT), node.input(1))


def product_of_integers(node: NodeRewriter) -> None:
    """MatMulInteger (10): compute in float64, which holds every sum of int8 products exactly."""
    wide = []
    for position in (0, 1):
        whole = node.cast(node.input(position), TensorProto.INT32)
        if node.input(position + 2):
            if node.rank(position + 2):
                raise NotLowered("it has a zero point for each row; use one for all")
            whole = node.op("Sub", whole, node.cast(node.input(position + 2), TensorProto.INT32))
        wide.append(node.cast(whole, TensorProto.DOUBLE))
    node.give("Cast", node.op("MatMul", *wide), to=onnx.TensorProto.INT32)


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
