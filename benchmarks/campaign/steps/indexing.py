"""Ops that read or write at indices."""

import numpy as np
from hypothesis import strategies as st

from steps.step import Unfit, axis_of, pick, step

KINDS = ("float32", "float64", "int32", "int64", "bool")


def _indices(draw, size: int, shape, *, unique: bool = False) -> np.ndarray:
    """Draw indices from -size to size - 1."""
    count = int(np.prod(shape, dtype=int))
    if unique:
        values = draw(st.permutations(range(size)))[:count]
        values = [v - size * draw(st.integers(0, 1)) for v in values]
    else:
        values = [draw(st.integers(-size, size - 1)) for _ in range(count)]
    return np.array(values, np.int64).reshape(shape)


@step("Gather", 11)
def gather(draw, sketch):
    """Add a Gather with indices of rank 0 to 2, some of which count from the end."""
    x = pick(draw, sketch, KINDS, least=1)
    axis, written = axis_of(draw, x, fixed=True)
    if not x.shape[axis]:
        raise Unfit
    shape = draw(st.sampled_from(((), (1,), (3,), (2, 2))))
    indices = sketch.weight(_indices(draw, x.shape[axis], shape))
    result = (*x.shape[:axis], *shape, *x.shape[axis + 1 :])
    sketch.node("Gather", [x, indices], (x.dtype, result, x.exact), axis=written)


@step("GatherElements", 11)
def gather_elements(draw, sketch):
    """Add a GatherElements with one index for each element of a part."""
    x = pick(draw, sketch, KINDS, least=1, most=3, where=_fixed)
    axis, written = axis_of(draw, x)
    shape = (*x.shape[:axis], draw(st.integers(1, 3)), *x.shape[axis + 1 :])
    indices = sketch.weight(_indices(draw, x.shape[axis], shape))
    sketch.node("GatherElements", [x, indices], (x.dtype, shape, x.exact), axis=written)


def _fixed(t) -> bool:
    return all(isinstance(dim, int) and 0 < dim < 9 for dim in t.shape)


@step("GatherND", 12)
def gather_nd(draw, sketch):
    """Add a GatherND, with batch_dims or without."""
    x = pick(draw, sketch, KINDS, least=2, most=4, where=_fixed)
    batch_dims = draw(st.integers(0, 1))
    depth = draw(st.integers(1, x.rank - batch_dims))
    rows = (*x.shape[:batch_dims], 3)
    columns = [_indices(draw, x.shape[batch_dims + n], rows) for n in range(depth)]
    indices = sketch.weight(np.stack(columns, axis=-1))
    shape = rows + x.shape[batch_dims + depth :]
    sketch.node("GatherND", [x, indices], (x.dtype, shape, x.exact), batch_dims=batch_dims)


@step("ScatterElements", 16)
def scatter_elements(draw, sketch):
    """Add a ScatterElements that writes, adds or multiplies at distinct indices."""
    x = pick(draw, sketch, ("float32", "float64", "int64"), least=1, most=3, where=_fixed)
    axis, written = axis_of(draw, x)
    count = draw(st.integers(1, x.shape[axis]))
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    line = _indices(draw, x.shape[axis], (count,), unique=True)
    view = line.reshape([-1 if a == axis else 1 for a in range(x.rank)])
    indices = sketch.weight(np.broadcast_to(view, shape))
    values = np.resize([2, -1, 0.5, 3], shape).astype(x.dtype)
    kinds = ("none", "add", "mul", *(("max", "min") if sketch.opset >= 18 else ()))
    sketch.node(
        "ScatterElements",
        [x, indices, sketch.weight(values)],
        (x.dtype, x.shape, x.exact),
        axis=written,
        reduction=draw(st.sampled_from(kinds)),
    )


@step("ScatterND", 11)
def scatter_nd(draw, sketch):
    """Add a ScatterND that replaces rows. The first axis may be symbolic."""
    x = pick(draw, sketch, ("float32", "int64"), least=1, most=4)
    if any(isinstance(dim, str) for dim in x.shape[1:]):
        raise Unfit
    if x.shape[0] == 0:
        raise Unfit
    indices = sketch.weight(np.zeros((1, 1), np.int64))
    values = sketch.weight(np.full((1, *x.shape[1:]), 2, x.dtype))
    sketch.node("ScatterND", [x, indices, values], (x.dtype, x.shape, x.exact))


@step("OneHot", 11)
def one_hot(draw, sketch):
    """Add a OneHot with indices in range, from the end, and out of range."""
    x = pick(draw, sketch, ("int32", "int64"), most=3)
    depth = draw(st.integers(1, 5))
    axis = draw(st.integers(-x.rank - 1, x.rank))
    place = axis % (x.rank + 1)
    shape = (*x.shape[:place], depth, *x.shape[place:])
    values = sketch.weight(np.array(draw(st.sampled_from(((0, 1), (-1, 2)))), np.float32))
    size = sketch.weight(np.array(depth, np.int64))
    sketch.node("OneHot", [x, size, values], ("float32", shape, True), axis=axis)


@step("ReverseSequence", 10)
def reverse_sequence(draw, sketch):
    """Add a ReverseSequence with constant lengths."""
    x = pick(draw, sketch, ("float32", "int64"), least=2, where=lambda t: _fixed_two(t))
    lengths = [draw(st.integers(1, x.shape[1])) for _ in range(x.shape[0])]
    output = (x.dtype, x.shape, x.exact)
    sketch.node("ReverseSequence", [x, sketch.ints(*lengths)], output, batch_axis=0, time_axis=1)


def _fixed_two(t) -> bool:
    return all(isinstance(dim, int) and dim > 0 for dim in t.shape[:2])
