"""Places and sizes in a node that may have been computed from a dim that follows."""

import onnx

from onnxgraph.model.nodes import attributes
from onnxgraph.sizing.dims_watched_graph import Followed
from onnxgraph.sizing.dims_windows import pool, slice_

_INDEXED = ("GatherND", "GatherElements", "ScatterND", "ScatterElements")


def holds(followed: Followed, node: onnx.NodeProto, guess: bool) -> str:
    """Return which size of a node may have been computed from a dim that follows."""
    moving = followed.moving(node)
    axis = attributes(node).get("axis", 0)
    if node.op_type in ("AveragePool", "MaxPool", "LpPool"):
        return pool(followed, node, guess)
    elif node.op_type == "Slice":
        return slice_(followed, node, guess)
    elif node.op_type in ("Gather", "Split") and moving[axis % len(moving)]:
        if node.op_type == "Split" or followed.constant(node.input[1]) is not None:
            return f"picks fixed places of axis {axis}"
    elif node.op_type in _INDEXED and followed.constant(node.input[1]) is not None:
        places = _indexed_axes(followed, node)
        if any(moving[axis] for axis in places):
            return f"picks fixed places of axis {next(axis for axis in places if moving[axis])}"
    elif node.op_type == "TopK" and len(node.input) > 1 and not guess:
        axis, count = attributes(node).get("axis", -1), followed.constant(node.input[1])
        size = followed.static(node.input[0])[axis]
        if moving[axis] and count is not None and int(count.ravel()[0]) == size:
            return f"takes the best {size}, all that there are"
    elif node.op_type == "GridSample":
        return _sampled(followed, node)
    elif node.op_type == "ConvTranspose" and attributes(node).get("output_shape"):
        return f"has the fixed sizes {list(attributes(node)['output_shape'])}"
    elif node.op_type == "Pad" and not guess:
        return _padded(followed, node)
    elif node.op_type in ("AffineGrid", "MaxUnpool", "CenterCropPad") and len(node.input) > 1:
        sizes = followed.constant(node.input[-1])
        if sizes is not None:
            return f"has the fixed sizes {sizes.tolist()}"
    return ""


def _sampled(followed: Followed, node: onnx.NodeProto) -> str:
    """Name a grid that does not follow although it is as large as the picture."""
    grid, picture = followed.static(node.input[1])[1:-1], followed.static(node.input[0])[2:]
    if any(followed.follows(node.input[1]) or ()):
        return ""
    moving = zip(followed.moving(node)[2:], picture, strict=True)
    if not any(moves and (size or 0) > 1 and size in grid for moves, size in moving):
        return ""
    return f"samples at {' × '.join(map(str, grid))} fixed places"


def _indexed_axes(followed: Followed, node: onnx.NodeProto) -> list[int]:
    """Return the axes of a node's first input that it reads or writes at given places."""
    given = attributes(node)
    if node.op_type.endswith("Elements"):
        return [given.get("axis", 0) % len(followed.static(node.input[0]))]
    first = given.get("batch_dims", 0)
    return list(range(first, first + (followed.static(node.input[1])[-1] or 0)))


def _padded(followed: Followed, node: onnx.NodeProto) -> str:
    """Name pads that make a size a multiple of 16, as wrappers of networks do, or that are zero."""
    pads = attributes(node).get("pads")
    if pads is None and len(node.input) > 1:
        value = followed.constant(node.input[1])
        pads = None if value is None else value.tolist()
    dims = followed.static(node.input[0])
    if pads is None or len(pads) != 2 * len(dims):
        return ""
    if not any(pads):
        return "pads by nothing, which may be what this size asks for"
    for axis, (dim, moves) in enumerate(zip(dims, followed.moving(node), strict=True)):
        whole = (dim or 0) + pads[axis] + pads[axis + len(dims)]
        if moves and dim and whole > dim and dim % 16 and whole % 16 == 0:
            return f"pads {dim} to {whole} on axis {axis}, a multiple of 16"
    return ""
