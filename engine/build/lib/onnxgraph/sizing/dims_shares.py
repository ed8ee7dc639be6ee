"""Windows of pools and places in slices that may be a share of a size, and so belong to it."""

import onnx

from onnxgraph.sizing.dims_followed import Followed, attributes

_FAR = 2**31 - 1
"""A Slice that ends there or beyond takes everything."""

_PARTS = 4
"""One part in so many of a size may have been worked out from it; smaller numbers are ordinary."""


def pool(followed: Followed, node: onnx.NodeProto, guess: bool) -> str:
    """Name windows that may be those of an adaptive pool, which are as large as the size asks."""
    given = attributes(node)
    window = given["kernel_shape"]
    strides = given.get("strides", [1] * len(window))
    padded = any(given.get("pads", ())) or given.get("auto_pad", b"")[:4] == b"SAME"
    moving, fixed = followed.moving(node)[2:], followed.static(node.input[0])[2:]
    shown = " × ".join(map(str, window))
    for size, stride, dim, follows in zip(window, strides, fixed, moving, strict=True):
        if follows and size == dim and size > 1:
            return f"has a window of {shown}, all that there is"
        # Windows of an adaptive pool lie side by side, if the size allows it.
        parts = 2 * _PARTS if size == stride else _PARTS
        step = max(size, stride)
        if follows and dim and step > 3 and parts * step >= dim and not padded and not guess:
            return f"has a window of {shown} at strides {strides}, a large share of {dim}"
    return ""


def slice_(followed: Followed, node: onnx.NodeProto, guess: bool) -> str:
    """Name an end, and a place that lies so far inside that it may be a share of the size."""
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
    """Return what a Slice holds: inputs, or attributes up to opset 9; None if it is not known."""
    if len(node.input) == 1:
        return attributes(node).get(("starts", "ends", "axes")[place - 1])
    value = followed.constant(node.input[place]) if len(node.input) > place else None
    return None if value is None else value.tolist()
