"""GridSample (16) as GatherElements and weights, valid for opsets 13 to 15 and for any size."""

import numpy as np
from onnx import TensorProto, helper

from onnxgraph.lowering.node_rewriter import NodeRewriter, NotLowered
from onnxgraph.lowering.widened_ops import keep

OLD_NAMES = {"linear": "bilinear", "cubic": "bicubic"}


def old_names(node: NodeRewriter) -> None:
    """GridSample (20): older versions took only two dims, and named the modes after them."""
    if node.rank() != 4:
        raise NotLowered("it samples volumes, which GridSample does only from opset 20 on")
    mode = node.attribute("mode", "linear")
    keep(node, mode=OLD_NAMES.get(mode, mode))


def sampled(node: NodeRewriter) -> None:
    """GridSample (16): each place is the weighted sum of four neighbours, or the nearest one."""
    mode, padding = node.attribute("mode", "bilinear"), node.attribute("padding_mode", "zeros")
    if mode == "bicubic" or padding == "reflection":
        raise NotLowered(
            f"it has mode={mode}, padding_mode={padding}; only the others can be lowered"
        )
    height, width = _sizes(node)
    x = _place(node, 0, width)
    y = _place(node, 1, height)
    if padding == "border":
        x, y = _within(node, x, width), _within(node, y, height)
    if mode == "nearest":
        # Round exists since opset 11. Ties go to the even side, as in GridSample.
        corners = [(node.op("Round", x), node.op("Round", y), "")]
    else:
        corners = _neighbours(node, x, y)
    parts = [_picked(node, *corner, height, width, padding) for corner in corners]
    total = parts[0]
    for part in parts[1:]:
        total = node.op("Add", total, part)
    shape = node.dims(
        [(node.input(0), 0), (node.input(0), 1), (node.input(1), 1), (node.input(1), 2)]
    )
    node.give("Reshape", total, shape)


def _sizes(node: NodeRewriter) -> list[str]:
    """Return the height and width of the picture, as floats."""
    shape = node.op("Shape", node.input(0))
    wide = [node.op("Squeeze", node.op("Gather", shape, [n]), [0]) for n in (2, 3)]
    return [node.cast(each, node.dtype() or TensorProto.FLOAT) for each in wide]


def _place(node: NodeRewriter, which: int, size: str) -> str:
    """Return a coordinate in pixels, from the grid's range of -1 to 1."""
    part = node.op("Gather", node.input(1), np.array(which), axis=3)
    shifted = node.op("Add", part, 1.0)
    if node.attribute("align_corners", 0):
        return node.op("Mul", shifted, node.op("Mul", node.op("Sub", size, 1.0), 0.5))
    pixels = node.op("Mul", shifted, size)
    return node.op("Mul", node.op("Sub", pixels, 1.0), 0.5)


def _neighbours(node: NodeRewriter, x: str, y: str) -> list[tuple[str, str, str]]:
    """Return (x, y, weight) of the four pixels around each place."""
    left, top = node.op("Floor", x), node.op("Floor", y)
    right, bottom = node.op("Add", left, 1.0), node.op("Add", top, 1.0)
    to_x = {left: node.op("Sub", right, x), right: node.op("Sub", x, left)}
    to_y = {top: node.op("Sub", bottom, y), bottom: node.op("Sub", y, top)}
    return [(i, j, node.op("Mul", to_x[i], to_y[j])) for j in (top, bottom) for i in (left, right)]


def _picked(
    node: NodeRewriter, x: str, y: str, weight: str, height: str, width: str, padding: str
) -> str:
    """Return the pixels at (x, y) times their weights, batch × channels × places."""
    inside_x, inside_y = _within(node, x, width), _within(node, y, height)
    index = node.cast(node.op("Add", node.op("Mul", inside_y, width), inside_x), TensorProto.INT64)
    picture = node.input(0)
    flat = node.op("Reshape", picture, [0, 0, -1])
    index = node.op("Unsqueeze", node.op("Reshape", index, [0, -1]), [1])
    channels = node.op("Gather", node.op("Shape", picture), [1])
    shape = node.op("Concat", [1], channels, [1], axis=0)
    pixels = node.op("GatherElements", flat, node.op("Expand", index, shape), axis=2)
    if padding == "zeros":
        inside = node.op("And", node.op("Equal", x, inside_x), node.op("Equal", y, inside_y))
        known = node.cast(inside, node.dtype() or TensorProto.FLOAT)
        weight = node.op("Mul", weight, known) if weight else known
    if not weight:
        return pixels
    return node.op("Mul", pixels, node.op("Unsqueeze", node.op("Reshape", weight, [0, -1]), [1]))


def _within(node: NodeRewriter, place: str, size: str) -> str:
    """Return the coordinate, moved to the border if it is outside."""
    dtype = helper.tensor_dtype_to_np_dtype(node.dtype() or TensorProto.FLOAT)
    return node.op("Clip", place, np.zeros((), dtype), node.op("Sub", size, 1.0))


RULES = {("GridSample", 20): old_names, ("GridSample", 16): sampled}
