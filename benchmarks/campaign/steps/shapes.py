"""Ops that move values without computing, and ops on shapes."""

import numpy as np
from hypothesis import strategies as st
from onnx import numpy_helper
from sketch import Dim, Sketch, Tensor

from steps.step import FLOATS, NUMBERS, Unfit, axis_of, pick, step

ANY = (*NUMBERS, "bool")


def axes_node(sketch: Sketch, op: str, x: Tensor, axes, shape: tuple[Dim, ...]):
    """Add an op whose axes are an attribute before opset 13 and an input from then on."""
    output = (x.dtype, shape, x.exact)
    if sketch.opset < 13:
        return sketch.node(op, [x], output, axes=list(axes))
    return sketch.node(op, [x, sketch.ints(*axes)], output)


@step("Transpose")
def transpose(draw, sketch):
    """Add a Transpose with any order of the axes."""
    x = pick(draw, sketch, ANY, least=1)
    perm = draw(st.permutations(range(x.rank)))
    shape = tuple(x.shape[axis] for axis in perm)
    sketch.node("Transpose", [x], (x.dtype, shape, x.exact), perm=perm)


@step("Unsqueeze")
def unsqueeze(draw, sketch):
    """Add an Unsqueeze with a new axis anywhere."""
    x = pick(draw, sketch, ANY, most=4)
    axis = draw(st.integers(0, x.rank))
    axes_node(sketch, "Unsqueeze", x, [axis], (*x.shape[:axis], 1, *x.shape[axis:]))


@step("Squeeze")
def squeeze(draw, sketch):
    """Add a Squeeze of an axis of size 1."""
    x = pick(draw, sketch, ANY, where=lambda t: 1 in t.shape)
    axis = draw(st.sampled_from([a for a, dim in enumerate(x.shape) if dim == 1]))
    axes_node(sketch, "Squeeze", x, [axis], x.shape[:axis] + x.shape[axis + 1 :])


@step("Flatten", 9)
def flatten(draw, sketch):
    """Add a Flatten into two axes.

    A symbol must be an axis of its own.
    """
    x = pick(draw, sketch, ANY if sketch.opset >= 9 else FLOATS, least=1)
    axis = draw(st.integers(0, x.rank))
    parts = x.shape[:axis], x.shape[axis:]
    if any(_product(part) is None for part in parts):
        raise Unfit
    shape = tuple(_product(part) for part in parts)
    sketch.node("Flatten", [x], (x.dtype, shape, x.exact), axis=axis)


def _product(dims) -> Dim | None:
    """Return the product of dims, or None if a symbol is multiplied."""
    symbols = [dim for dim in dims if isinstance(dim, str)]
    rest = int(np.prod([dim for dim in dims if isinstance(dim, int)], dtype=int))
    if not symbols:
        return rest
    return symbols[0] if len(symbols) == 1 and rest == 1 else None


@step("Reshape")
def reshape(draw, sketch):
    """Add a Reshape that merges two axes, and perhaps one that splits them again.

    The first target is a constant with 0 and -1, the second one a computed shape.
    """
    x = pick(draw, sketch, ANY, least=2)
    axis = draw(st.integers(0, x.rank - 2))
    merged = _product(x.shape[axis : axis + 2])
    if merged is None:
        raise Unfit
    target = [0] * axis + [-1] + [0] * (x.rank - 2 - axis)
    shape = (*x.shape[:axis], merged, *x.shape[axis + 2 :])
    tail = x.shape[axis + 2 :]
    if any(isinstance(dim, str) for dim in tail):
        raise Unfit
    target[axis + 1 :] = tail
    made = sketch.node("Reshape", [x, sketch.ints(*target)], (x.dtype, shape, x.exact))
    if draw(st.booleans()):
        size = sketch.node("Shape", [x], ("int64", (x.rank,), True))
        sketch.node("Reshape", [*made, *size], (x.dtype, x.shape, x.exact))


@step("Concat")
def concat(draw, sketch):
    """Add a Concat of two tensors, or of one with itself."""
    x = pick(draw, sketch, ANY, least=1)
    axis, written = axis_of(draw, x, fixed=True)
    fits = [t for t in sketch.tensors if t.dtype == x.dtype and t.rank == x.rank]
    rest = x.shape[:axis] + x.shape[axis + 1 :]
    fits = [t for t in fits if t.shape[:axis] + t.shape[axis + 1 :] == rest]
    other = draw(st.sampled_from([t for t in fits if isinstance(t.shape[axis], int)]))
    shape = (*x.shape[:axis], x.shape[axis] + other.shape[axis], *x.shape[axis + 1 :])
    sketch.node("Concat", [x, other], (x.dtype, shape, x.exact and other.exact), axis=written)


@step("Split", 13)
def split(draw, sketch):
    """Add a Split into two parts, which may be empty."""
    x = pick(draw, sketch, ("float32", "int32", "int64", "bool"), least=1)
    axis, written = axis_of(draw, x, fixed=True)
    first = draw(st.integers(0, x.shape[axis]))
    sizes = (first, x.shape[axis] - first)
    outputs = [(x.dtype, (*x.shape[:axis], n, *x.shape[axis + 1 :]), x.exact) for n in sizes]
    sketch.node("Split", [x, sketch.ints(*sizes)], *outputs, axis=written)


@step("Slice", 10)
def slice_(draw, sketch):
    """Add a Slice.

    Starts and ends are inside, at and past the ends. Steps have either sign.
    """
    x = pick(draw, sketch, ("float32", "float64", "int32", "int64", "bool"), least=1)
    axis, written = axis_of(draw, x, fixed=True)
    start, end = draw(st.integers(-9, 9)), draw(st.sampled_from((2, -1, 0, 9, 2**31, -(2**31))))
    stride = draw(st.sampled_from((1, 2, -1, -2)))
    size = len(range(x.shape[axis])[start:end:stride])
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    given = [sketch.ints(each) for each in (start, end, written, stride)]
    sketch.node("Slice", [x, *given], (x.dtype, shape, x.exact))


@step("Tile", 6)
def tile(draw, sketch):
    """Add a Tile along axes of fixed size."""
    x = pick(draw, sketch, ("float32", "int32", "int64", "bool"), least=1)
    axis, _ = axis_of(draw, x, fixed=True)
    times = draw(st.integers(0, 3))
    repeats = [times if number == axis else 1 for number in range(x.rank)]
    shape = (*x.shape[:axis], x.shape[axis] * times, *x.shape[axis + 1 :])
    sketch.node("Tile", [x, sketch.ints(*repeats)], (x.dtype, shape, x.exact))


@step("Expand", 8)
def expand(draw, sketch):
    """Add an Expand to a constant shape with a further axis, or to the shape of another tensor."""
    x = pick(draw, sketch, ("float32", "int32", "int64", "bool", "float64"), most=4)
    target = [draw(st.integers(1, 3)), *(1 for _ in x.shape)]
    output = (x.dtype, (target[0], *x.shape), x.exact)
    sketch.node("Expand", [x, sketch.ints(*target)], output)


@step("Pad", 11)
def pad(draw, sketch):
    """Add a Pad in any mode. The constant mode may also cut."""
    x = pick(draw, sketch, ("float32", "float64") if sketch.opset < 13 else NUMBERS, least=1)
    axis, _ = axis_of(draw, x, fixed=True)
    mode = draw(st.sampled_from(("constant", "edge", "reflect")))
    size = x.shape[axis]
    if size < 1 or (mode == "reflect" and size < 2):
        raise Unfit
    most = size - 1 if mode == "reflect" else 3
    least = -1 if mode == "constant" and size > 2 else 0
    before, after = draw(st.integers(least, min(most, 3))), draw(st.integers(least, min(most, 3)))
    pads = [0] * (2 * x.rank)
    pads[axis], pads[axis + x.rank] = before, after
    shape = (*x.shape[:axis], size + before + after, *x.shape[axis + 1 :])
    inputs = [x, sketch.ints(*pads)]
    if mode == "constant" and draw(st.booleans()):
        inputs.append(sketch.weight(np.array(draw(st.sampled_from((1, 0, 3))), x.dtype)))
    sketch.node("Pad", inputs, (x.dtype, shape, x.exact), mode=mode)


@step("Shape")
def shape_(draw, sketch):
    """Add a Shape and a Gather of one size, perhaps cast to a float."""
    x = pick(draw, sketch, ANY, least=1)
    (sizes,) = sketch.node("Shape", [x], ("int64", (x.rank,), True))
    axis = draw(st.integers(0, x.rank - 1))
    index = sketch.weight(np.array(axis, np.int64))
    (size,) = sketch.node("Gather", [sizes, index], ("int64", (), True), axis=0)
    if draw(st.booleans()):
        sketch.node("Cast", [size], ("float32", (), True), to=1)


@step("ConstantOfShape", 9)
def constant_of_shape(draw, sketch):
    """Add a ConstantOfShape as large as another tensor."""
    x = pick(draw, sketch, ANY, least=1)
    (sizes,) = sketch.node("Shape", [x], ("int64", (x.rank,), True))
    value = numpy_helper.from_array(np.array([draw(st.sampled_from((1.5, 0.0)))], np.float32))
    sketch.node("ConstantOfShape", [sizes], ("float32", x.shape, True), value=value)


@step("DepthToSpace", 11)
def depth_to_space(draw, sketch):
    """Add a DepthToSpace in either order."""
    x = pick(draw, sketch, ("float32",), least=4, most=4, where=_blocks)
    n, c, h, w = x.shape
    mode = draw(st.sampled_from(("DCR", "CRD")))
    output = (x.dtype, (n, c // 4, h * 2, w * 2), x.exact)
    sketch.node("DepthToSpace", [x], output, blocksize=2, mode=mode)


def _blocks(t: Tensor) -> bool:
    return isinstance(t.shape[1], int) and t.shape[1] % 4 == 0 and _ints(t.shape[2:])


@step("SpaceToDepth")
def space_to_depth(draw, sketch):
    """Add a SpaceToDepth with blocks of size 2 or 1."""
    x = pick(draw, sketch, ("float32",), least=4, most=4, where=lambda t: _ints(t.shape[1:]))
    n, c, h, w = x.shape
    size = 2 if h % 2 == w % 2 == 0 else 1
    shape = (n, c * size * size, h // size, w // size)
    sketch.node("SpaceToDepth", [x], (x.dtype, shape, x.exact), blocksize=size)


def _ints(dims) -> bool:
    return all(isinstance(dim, int) and dim > 0 for dim in dims)


@step("Trilu", 14)
def trilu(draw, sketch):
    """Add a Trilu of the upper or lower triangle, moved by k."""
    x = pick(draw, sketch, ("float32", "float64", "int64", "bool"), least=2)
    k = sketch.weight(np.array(draw(st.sampled_from((0, 1, -1, 9, -9))), np.int64))
    upper = draw(st.sampled_from((0, 1)))
    sketch.node("Trilu", [x, k], (x.dtype, x.shape, x.exact), upper=upper)


@step("EyeLike", 9)
def eye_like(draw, sketch):
    """Add an EyeLike with ones on a diagonal."""
    x = pick(draw, sketch, ("float32", "int32", "int64"), least=2, most=2)
    k = draw(st.sampled_from((0, 1, -2)))
    sketch.node("EyeLike", [x], (x.dtype, x.shape, True), k=k)
