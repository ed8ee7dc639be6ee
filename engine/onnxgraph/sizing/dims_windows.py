"""Windows of pools and places in slices that may be a share of a size, and so depend on it."""

import onnx

from onnxgraph.model.nodes import attributes
from onnxgraph.sizing.dims_watched_graph import Followed

_FAR = 2**31 - 1
"""A Slice that ends there or later takes everything."""

_PARTS = 4
"""A number may have been computed from a size if it is at least 1/n of the size."""


def pool(followed: Followed, node: onnx.NodeProto, guess: bool) -> str:
    """Name windows that may come from an adaptive pool, whose windows depend on the size."""
    given = attributes(node)
    window = given["kernel_shape"]
    strides = given.get("strides", [1] * len(window))
    padded = any(given.get("pads", ())) or given.get("auto_pad", "").startswith("SAME")
    moving, fixed = followed.moving(node)[2:], followed.static(node.input[0])[2:]
    shown = " × ".join(map(str, window))
    for size, stride, dim, follows in zip(window, strides, fixed, moving, strict=True):
        if follows and size == dim and size > 1:
            return f"has a window of {shown}, all that there is"
        # Windows of an adaptive pool do not overlap, if the size allows it.
        parts = 2 * _PARTS if size == stride else _PARTS
        step = max(size, stride)
        if follows and dim and step > 3 and parts * step >= dim and not padded and not guess:
            return f"has a window of {shown} at strides {strides}, a large share of {dim}"
    return ""


def slice_(followed: Followed, node: onnx.NodeProto, guess: bool) -> str:
    """Name an end, and a place so far from the start that it may be a share of the size."""
    moving, fixed = followed.moving(node), followed.static(node.input[0])
    starts, ends, axes = (_bounds(followed, node, place) for place in (1, 2, 3))
    if ends is None or (axes is None and len(node.input) > 3 and node.input[3]):
        return ""
    axes = list(range(len(ends))) if axes is None else axes
    for start, end, axis in zip(starts or [0] * len(ends), ends, axes, strict=True):
        if not moving[axis % len(moving)]:
            continue
        if 0 < end < _FAR:
            return f"ends at {end} on axis {axis}"
        size = fixed[axis % len(fixed)] or 0
        for word, place in (("starts", start), ("ends", end)):
            if 1 < abs(place) < size <= _PARTS * abs(place) and not guess:
                return f"{word} at {place} on axis {axis}, which has {size}"
    return ""


def _bounds(followed: Followed, node: onnx.NodeProto, place: int) -> list[int] | None:
    """Return the starts, ends or axes of a Slice, or None if they are not known."""
    if len(node.input) == 1:
        return attributes(node).get(("starts", "ends", "axes")[place - 1])
    value = followed.constant(node.input[place]) if len(node.input) > place else None
    return None if value is None else value.tolist()
