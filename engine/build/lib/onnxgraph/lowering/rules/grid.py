"""GridSample (16) as GatherElements and weights; valid for opsets 13 to 15, at any size."""

import numpy as np
from onnx import TensorProto, helper

from onnxgraph.lowering.node_rewriter import Obstacle, Site
from onnxgraph.lowering.widened import keep

OLD_NAMES = {"linear": "bilinear", "cubic": "bicubic"}


def old_names(site: Site) -> None:
    """GridSample (20): modes were named for two dims, and there were no others."""
    if site.rank() != 4:
        raise Obstacle("it samples volumes, which GridSample does only from opset 20 on")
    mode = site.attribute("mode", "linear")
    keep(site, mode=OLD_NAMES.get(mode, mode))


def sampled(site: Site) -> None:
    """GridSample (16): each place is a weighted sum of its four neighbours (or the nearest)."""
    mode, padding = site.attribute("mode", "bilinear"), site.attribute("padding_mode", "zeros")
    if mode == "bicubic" or padding == "reflection":
        raise Obstacle(
            f"it has mode={mode}, padding_mode={padding}; only the others can be lowered"
        )
    height, width = _sizes(site)
    x = _place(site, 0, width)
    y = _place(site, 1, height)
    if padding == "border":
        x, y = _within(site, x, width), _within(site, y, height)
    if mode == "nearest":
        # Round is new in 11; ties go to the even side, as in GridSample.
        corners = [(site.op("Round", x), site.op("Round", y), "")]
    else:
        corners = _neighbours(site, x, y)
    parts = [_picked(site, *corner, height, width, padding) for corner in corners]
    total = parts[0]
    for part in parts[1:]:
        total = site.op("Add", total, part)
    shape = site.dims(
        [(site.input(0), 0), (site.input(0), 1), (site.input(1), 1), (site.input(1), 2)]
    )
    site.give("Reshape", total, shape)


def _sizes(site: Site) -> list[str]:
    """Return height and width of the picture, as floats."""
    shape = site.op("Shape", site.input(0))
    wide = [site.op("Squeeze", site.op("Gather", shape, [n]), [0]) for n in (2, 3)]
    return [site.cast(each, site.dtype() or TensorProto.FLOAT) for each in wide]


def _place(site: Site, which: int, size: str) -> str:
    """Return a coordinate in pixels: the grid goes from -1 to 1."""
    part = site.op("Gather", site.input(1), np.array(which), axis=3)
    shifted = site.op("Add", part, 1.0)
    if site.attribute("align_corners", 0):
        return site.op("Mul", shifted, site.op("Mul", site.op("Sub", size, 1.0), 0.5))
    pixels = site.op("Mul", shifted, size)
    return site.op("Mul", site.op("Sub", pixels, 1.0), 0.5)


def _neighbours(site: Site, x: str, y: str) -> list[tuple[str, str, str]]:
    """Return (x, y, weight) of the four pixels around each place."""
    left, top = site.op("Floor", x), site.op("Floor", y)
    right, bottom = site.op("Add", left, 1.0), site.op("Add", top, 1.0)
    to_x = {left: site.op("Sub", right, x), right: site.op("Sub", x, left)}
    to_y = {top: site.op("Sub", bottom, y), bottom: site.op("Sub", y, top)}
    return [(i, j, site.op("Mul", to_x[i], to_y[j])) for j in (top, bottom) for i in (left, right)]


def _picked(site: Site, x: str, y: str, weight: str, height: str, width: str, padding: str) -> str:
    """Return the pixels at (x, y) times their weights, batch × channels × places."""
    inside_x, inside_y = _within(site, x, width), _within(site, y, height)
    index = site.cast(site.op("Add", site.op("Mul", inside_y, width), inside_x), TensorProto.INT64)
    picture = site.input(0)
    flat = site.op("Reshape", picture, [0, 0, -1])
    index = site.op("Unsqueeze", site.op("Reshape", index, [0, -1]), [1])
    channels = site.op("Gather", site.op("Shape", picture), [1])
    shape = site.op("Concat", [1], channels, [1], axis=0)
    pixels = site.op("GatherElements", flat, site.op("Expand", index, shape), axis=2)
    if padding == "zeros":
        inside = site.op("And", site.op("Equal", x, inside_x), site.op("Equal", y, inside_y))
        known = site.cast(inside, site.dtype() or TensorProto.FLOAT)
        weight = site.op("Mul", weight, known) if weight else known
    if not weight:
        return pixels
    return site.op("Mul", pixels, site.op("Unsqueeze", site.op("Reshape", weight, [0, -1]), [1]))


def _within(site: Site, place: str, size: str) -> str:
    """Return the coordinate, at the border if it lies beyond."""
    dtype = helper.tensor_dtype_to_np_dtype(site.dtype() or TensorProto.FLOAT)
    return site.op("Clip", place, np.zeros((), dtype), site.op("Sub", size, 1.0))


RULES = {("GridSample", 20): old_names, ("GridSample", 16): sampled}
