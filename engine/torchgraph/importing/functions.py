"""Ops implemented here, because sizes must stay numbers or because the converter gets them wrong.

Each takes the inputs of the ONNX node in their order, and its attributes by name.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchgraph.importing.sizes import as_list

_REDUCED = {
    "ReduceMax": torch.amax,
    "ReduceMean": torch.mean,
    "ReduceMin": torch.amin,
    "ReduceSum": torch.sum,
}

_PADDED = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}


def reshape(x: Tensor, shape: Any, *, allowzero: int = 0) -> Tensor:
    """Reshape. A size of 0 keeps the size of the input."""
    sizes = as_list(shape)
    if not allowzero:
        sizes = [
            x.shape[axis] if isinstance(size, int) and size == 0 else size
            for axis, size in enumerate(sizes)
        ]
    return torch.reshape(x, sizes)


def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    """Flatten to a matrix, whose rows are the axes before `axis`."""
    axis = axis + x.ndim if axis < 0 else axis
    if axis == 1:
        return torch.flatten(x.unsqueeze(-1), 1)
    rows = torch.flatten(x.unsqueeze(0), 0, axis)
    return torch.flatten(rows.unsqueeze(-1), 1)


def expand(x: Tensor, shape: Any) -> Tensor:
    """Expand, broadcasting in both directions."""
    sizes = as_list(shape)
    rank = max(x.ndim, len(sizes))
    own = [1] * (rank - x.ndim) + list(x.shape)
    wanted = [1] * (rank - len(sizes)) + sizes
    new = [
        mine if isinstance(each, int) and each == 1 else each
        for mine, each in zip(own, wanted, strict=True)
    ]
    return x.reshape(own).expand(new)


def cut(x: Tensor, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Tensor:
    """Slice, also backwards."""
    starts, ends = as_list(starts), as_list(ends)
    axes = range(len(starts)) if axes is None else as_list(axes)
    steps = [1] * len(starts) if steps is None else as_list(steps)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 0:
            x = torch.flip(x, [axis])
            # Counted from the other end, place p is place -1 - p.
            start, end, step = -1 - start, -1 - end, -step
        index = [slice(None)] * (axis % x.ndim) + [slice(start, end, step)]
        x = x[tuple(index)]
    return x


def squeeze(x: Tensor, axes: Any = None) -> Tensor:
    """Squeeze the given axes, or every axis of size 1."""
    return torch.squeeze(x) if axes is None else torch.squeeze(x, tuple(as_list(axes)))


def unsqueeze(x: Tensor, axes: Any) -> Tensor:
    """Unsqueeze. The axes are those of the result."""
    places = as_list(axes)
    for axis in sorted(place % (x.ndim + len(places)) for place in places):
        x = torch.unsqueeze(x, axis)
    return x


def tile(x: Tensor, repeats: Any) -> Tensor:
    """Tile: repeat along each axis."""
    return x.repeat(as_list(repeats))


def pad(
    x: Tensor,
    pads: Any,
    constant_value: Any = None,
    axes: Any = None,
    *,
    mode: str = "constant",
    value: float = 0.0,
) -> Tensor:
    """Pad. The first half of `pads` goes before each axis, the second half after it."""
    pads = as_list(pads)
    axes = list(range(x.ndim)) if axes is None else [each % x.ndim for each in as_list(axes)]
    sides: list[Any] = []
    for axis in reversed(range(min(axes), x.ndim)):
        number = axes.index(axis) if axis in axes else None
        sides += [0, 0] if number is None else [pads[number], pads[number + len(axes)]]
    if mode == "constant":
        (fill,) = [value] if constant_value is None else as_list(constant_value)
        return F.pad(x, sides, value=fill)
    while len(sides) > 2 and not any(sides[-2:]):
        sides = sides[:-2]
    if x.is_floating_point() and len(sides) // 2 in _SPATIAL.get(x.ndim, ()):
        return F.pad(x, sides, mode=_PADDED[mode])
    for back, (before, after) in enumerate(zip(sides[::2], sides[1::2], strict=True), start=1):
        size = x.shape[-back]
        place = torch.arange(-before, size + after, device=x.device)
        x = x.index_select(-back, _INSIDE[mode](place, size))
    return x


def _reflected(place: Tensor, size: int) -> Tensor:
    """Return places beyond an axis as those in it, mirrored at its first and its last element."""
    round_trip = max(2 * (size - 1), 1)
    place = place % round_trip
    return torch.minimum(place, round_trip - place)


_INSIDE: dict[str, Callable[[Tensor, int], Tensor]] = {
    "edge": lambda place, size: place.clamp(0, size - 1),
    "reflect": _reflected,
    "wrap": lambda place, size: place % size,
}
"""The ways to fill what is padded with elements of the axis: where each of them is taken."""

_SPATIAL = {2: (1,), 3: (1, 2), 4: (2, 3), 5: (3,)}
"""Dims of a tensor → how many of the last axes PyTorch fills with elements of the axis itself."""


def split(
    x: Tensor, split: Any = None, *, outputs: int, axis: int = 0, num_outputs: int = 0
) -> Sequence[Tensor]:
    """Split into parts of the given sizes, or of equal ones (the last may be smaller)."""
    if split is not None:
        return torch.split(x, as_list(split), axis)
    return torch.split(x, -(-x.shape[axis] // (num_outputs or outputs)), axis)


def gather(x: Tensor, indices: Any, *, axis: int = 0) -> Tensor:
    """Gather at known indices. Negative ones count from the end."""
    if not isinstance(indices, list):
        return x.select(axis, int(indices))
    index = torch.tensor(indices)
    found = x.index_select(axis, torch.where(index < 0, index + x.shape[axis], index).reshape(-1))
    axis = axis % x.ndim
    return found.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


def concat(*parts: Tensor, axis: int) -> Tensor:
    """Concat."""
    return torch.cat(parts, axis)


def constant_of_shape(shape: Any, *, fill: float, dtype: torch.dtype) -> Tensor:
    """ConstantOfShape."""
    return torch.full(as_list(shape), fill, dtype=dtype)


def reduce(
    x: Tensor, axes: Any = None, *, op: str, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Tensor:
    """Reduce by maximum, mean, minimum or sum."""
    places = tuple(as_list(axes)) if axes is not None else ()
    if not places and noop_with_empty_axes:
        return x
    return _REDUCED[op](x, places or tuple(range(x.ndim)), bool(keepdims))


def sign(x: Tensor) -> Tensor:
    """Sign. The sign of NaN is NaN."""
    return torch.where(torch.isnan(x), x, torch.sign(x))


def thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """ThresholdedRelu. Values that are not above `alpha`, including NaN, become zero."""
    return torch.where(x > alpha, x, torch.zeros_like(x))


def remainder(x: Tensor, y: Tensor, *, fmod: int = 0) -> Tensor:
    """Mod. The sign is that of y, or that of x with `fmod`."""
    return torch.fmod(x, y) if fmod else torch.remainder(x, y)


def lp_normalize(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    """LpNormalization: divide by the norm along an axis, where that is not 0."""
    norm = torch.linalg.vector_norm(x, p, axis, keepdim=True)
    return x / torch.where(norm == 0, torch.ones_like(norm), norm)


def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    """Gemm: alpha·A·B + beta·C, with A and B transposed if requested."""
    product = (a.T if transA else a) @ (b.T if transB else b) * alpha
    return product if c is None else product + beta * c
