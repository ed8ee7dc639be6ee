"""Resize: from opset 18 down to the Upsample of opset 9.

Where an older Resize lacks a mode and the sizes are fixed, each axis is resized by a matrix.
Resizing is linear, so resizing the identity gives its matrix.
"""

import math

import numpy as np
import onnx
from onnx import helper

from onnxgraph.lowering.node_rewriter import NodeRewriter, NotLowered
from onnxgraph.lowering.rules.activations import WHOLE
from onnxgraph.lowering.widened_ops import keep
from onnxgraph.running.run import run_onnx

COORDINATES = "coordinate_transformation_mode"
NEW = ("antialias", "axes", "keep_aspect_ratio_policy")


def symmetric(node: NodeRewriter) -> None:
    """Resize (19): half_pixel_symmetric is new."""
    new = node.attribute(COORDINATES, "half_pixel") == "half_pixel_symmetric"
    as_matrices(node) if new else keep(node)


def of_axes(node: NodeRewriter) -> None:
    """Resize (18): scales or sizes of some axes, of one ratio, or with a filter."""
    filtered = node.attribute("antialias", 0) and node.attribute("mode", "nearest") != "nearest"
    if filtered:
        return as_matrices(node)
    cropped = node.attribute(COORDINATES, "half_pixel") == "tf_crop_and_resize"
    if cropped and node.attribute("axes"):
        raise NotLowered("it crops some axes only; give roi and sizes for all of them")
    inputs = [node.input(0), node.input(1), node.input(2), node.input(3)]
    if node.input(3) and node.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        _, sizes = _targets(node)
        inputs[3] = node.dims([(node.input(0), n) if s is None else s for n, s in enumerate(sizes)])
    elif node.attribute("axes"):
        given = 2 if node.input(2) else 3
        inputs[given] = _of_all_axes(node, given)
    while not inputs[-1]:
        inputs.pop()
    return node.give("Resize", *inputs, **node.attributes(without=NEW))


def _of_all_axes(node: NodeRewriter, given: int) -> str:
    """Return the scales (2) or sizes (3) of every axis, including those that were left out."""
    axes = [axis % node.rank() for axis in node.attribute("axes")]
    shape = node.op("Shape", node.input(0))
    pieces = []
    for axis in range(node.rank()):
        if axis in axes:
            at = axes.index(axis)
            pieces.append(node.op("Slice", node.input(given), [at], [at + 1], [0]))
        elif given == 2:
            pieces.append(node.scope.add_constant(np.ones(1, np.float32), stem="one"))
        else:
            pieces.append(node.op("Slice", shape, [axis], [axis + 1], [0]))
    return node.op("Concat", *pieces, axis=0)


def with_all_inputs(node: NodeRewriter) -> None:
    """Resize (13): roi and scales had to be present, but could be empty."""
    nothing = np.zeros(0, np.float32)
    inputs = [node.input(n) or (nothing if n in (1, 2) else "") for n in range(4)]
    while isinstance(inputs[-1], str) and not inputs[-1]:
        inputs.pop()
    node.give("Resize", *inputs, **node.attributes())
    keep(NodeRewriter(node.made.pop(), node.scope, node.made))


def enlarging(node: NodeRewriter) -> None:
    """Resize (11): the older op counted pixels from the corner and rounded down."""
    mode = node.attribute("mode", "nearest")
    how = (node.attribute(COORDINATES, "half_pixel"), node.attribute("nearest_mode", "round"))
    scales, _ = _targets(node)
    whole = all(scale is not None and scale == round(scale) for scale in scales)
    larger = all(scale is not None and scale >= 1 for scale in scales)
    from_corner = how[0] == "asymmetric" and (mode == "linear" or how[1] == "floor")
    # A pixel repeated n times is the same in both ways of counting.
    repeated = mode == "nearest" and whole and how[0].endswith("half_pixel") and "round" in how[1]
    # A scale that was computed from sizes may round to one pixel less.
    exact = whole or not node.input(3)
    if larger and exact and (from_corner or repeated):
        return node.give("Resize", node.input(0), np.array(scales, np.float32), mode=mode)
    return as_matrices(node)


def upsample(node: NodeRewriter) -> None:
    """Resize (10): it was called Upsample, and could only enlarge."""
    if node.known(1, "scales").min() < 1:
        raise NotLowered("it makes smaller, which Upsample cannot; stop at opset 10")
    node.give("Upsample", *node.proto.input, **node.attributes())


def as_matrices(node: NodeRewriter) -> None:
    """Resize along each axis that changes, by a product with a matrix or a choice of rows."""
    nearest = node.attribute("mode", "nearest") == "nearest"
    if node.attribute(COORDINATES, "half_pixel") == "tf_crop_and_resize":
        raise NotLowered("it crops and resizes, which the older op cannot; slice before it")
    if node.dtype() in WHOLE and not nearest:
        raise NotLowered("it interpolates whole numbers, whose rounding differs; cast to float32")
    scales, sizes = _targets(node)
    data = node.input(0)
    for axis, (scale, size) in enumerate(zip(scales, sizes, strict=True)):
        if scale != 1 and size != node.shape()[axis]:
            matrix = _matrix(node, node.size(axis), scale, size)
            data = _along(node, data, axis, matrix, nearest)
    node.give("Identity", data)


def _along(node: NodeRewriter, data: str, axis: int, matrix: np.ndarray, nearest: bool) -> str:
    """Emit data · matrix (in × out) along an axis."""
    rank = node.rank()
    if nearest:
        return node.op("Gather", data, matrix.argmax(axis=0), axis=axis)
    matrix = matrix.astype(helper.tensor_dtype_to_np_dtype(node.dtype() or 1))
    if axis == rank - 2:
        return node.op("MatMul", matrix.T.copy(), data)
    order = [*range(axis), *range(axis + 1, rank), axis]
    if axis == rank - 1:
        return node.op("MatMul", data, matrix)
    turned = node.op("MatMul", node.op("Transpose", data, perm=order), matrix)
    back = [order.index(each) for each in range(rank)]
    return node.op("Transpose", turned, perm=back)


def _matrix(node: NodeRewriter, size: int, scale: float | None, target: int | None) -> np.ndarray:
    """Return the matrix (in × out) of one axis: onnxruntime runs the node on the identity."""
    by_size = bool(node.input(3))
    wanted = np.array([size, 1, 1, target], np.int64) if by_size else None
    scales = None if by_size else np.array([1, 1, 1, scale], np.float32)
    # Where roi and scales are required, they are empty.
    given: dict[str, np.ndarray] = {"roi": np.zeros(0, np.float32)}
    given["scales"] = np.zeros(0, np.float32) if scales is None else scales
    optional = node.scope.version >= 13
    names = ["x", "" if optional else "roi", "" if optional and by_size else "scales"]
    if wanted is not None:
        given["sizes"] = wanted
        names.append("sizes")
    unwanted = ("axes", "keep_aspect_ratio_policy")
    emitted = helper.make_node("Resize", names, ["y"], **node.attributes(without=unwanted))
    identity = np.eye(size, dtype=np.float32).reshape(size, 1, 1, size)
    weights = [onnx.numpy_helper.from_array(value, name) for name, value in given.items()]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [emitted],
        "identity",
        [helper.make_tensor_value_info("x", kind, identity.shape)],
        [helper.make_tensor_value_info("y", kind, [size, 1, 1, None])],
        [weight for weight in weights if weight.name in names],
    )
    opsets = [helper.make_opsetid("", node.scope.version)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return run_onnx(model, {"x": identity})["y"].reshape(size, -1)


def _targets(node: NodeRewriter) -> tuple[list[float | None], list[int | None]]:
    """Return (scales, sizes) of each axis, with None where a symbolic size would be needed.

    The inferred shape of the output may give computed sizes.

    Raises:
        NotLowered: scales, or sizes other than that of the batch, are computed while the model
            runs.
    """
    shape = node.shape()
    axes = [axis % len(shape) for axis in node.attribute("axes") or range(len(shape))]
    scales: list[float | None] = [1.0] * len(shape)
    sizes: list[int | None] = list(shape)
    if node.input(2) and (node.constant(2) is None or node.known(2, "scales").size):
        for axis, scale in zip(axes, node.known(2, "scales").tolist(), strict=True):
            size = shape[axis]
            scales[axis] = scale
            sizes[axis] = None if size is None else math.floor(size * scale)
        return scales, sizes
    if node.constant(3) is None and (inferred := _inferred(node)):
        return inferred
    wanted = _wanted(node, axes, node.known(3, "sizes").tolist())
    for axis, target in zip(axes, wanted, strict=True):
        size = shape[axis]
        scales[axis], sizes[axis] = (None if size is None else target / size), target
    return scales, sizes


def _inferred(node: NodeRewriter) -> tuple[list[float | None], list[int | None]] | None:
    """Return scales and sizes from the inferred shapes, if each axis is fixed or keeps its size."""
    before, after = (node.scope.dims(name) for name in (node.input(0), node.output(0)))
    scales: list[float | None] = []
    sizes: list[int | None] = []
    for old, new in zip(before or (), after or (), strict=False):
        if not isinstance(old, int) or not isinstance(new, int):
            if old is None or old != new:
                return None
            old = new = None
        scales.append(new / old if old and new else 1.0)
        sizes.append(new)
    return (scales, sizes) if sizes else None


def _wanted(node: NodeRewriter, axes: list[int], sizes: list[int]) -> list[int]:
    """Return the sizes after applying the policy for the aspect ratio."""
    policy = node.attribute("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return sizes
    choose = min if policy == "not_larger" else max
    scale = choose(want / node.size(axis) for axis, want in zip(axes, sizes, strict=True))
    return [math.floor(scale * node.size(axis) + 0.5) for axis in axes]


RULES = {
    ("Resize", 19): symmetric,
    ("Resize", 18): of_axes,
    ("Resize", 13): with_all_inputs,
    ("Resize", 11): enlarging,
    ("Resize", 10): upsample,
}
