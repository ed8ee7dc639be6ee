"""Which dims follow the batch: those that grow in step with it between two sizes.

A dim that is the same at both sizes is static. A dim that grows in step is a multiple of the batch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from onnxgraph.model import interface
from onnxgraph.model.graphs import graphs

PROBES = (5, 7)
"""Two batch sizes that hardly any other dim shares a factor with."""

OTHERS = (96, 160)
"""Sizes of the other symbolic dims at these batches.

They differ, but not as the batch does.
"""


@dataclass(frozen=True)
class Rows:
    """A dim that is `times` the batch."""

    times: int


Axes = Mapping[str, int]
"""Name of each input that carries the batch, to the axis of the batch in it."""

Shape = tuple[int | Rows | None, ...]
"""The dims of a tensor: a size, a multiple of the batch, or None (unknown)."""


def merged(few: tuple | None, many: tuple | None) -> Shape | None:
    """Return how dims follow the batch, computed from their sizes at both `PROBES`."""
    if few is None or many is None or len(few) != len(many):
        return None
    return tuple(_merge(one, two) for one, two in zip(few, many, strict=True))


def _merge(one: int | str | None, two: int | str | None) -> int | Rows | None:
    if not isinstance(one, int) or not isinstance(two, int):
        return None
    if one == two:
        return one
    times, rest = divmod(one, PROBES[0])
    return Rows(times) if rest == 0 and times * PROBES[1] == two else None


def rows_axis(shape: Shape | None) -> int | None:
    """Return the only axis that follows the batch, or None if no axis or more than one does."""
    axes = [axis for axis, dim in enumerate(shape or ()) if isinstance(dim, Rows)]
    return axes[0] if len(axes) == 1 else None


def counts(shape: Shape) -> list[int]:
    """Return the dims for a batch of one, with 0 for unknown ones."""
    return [dim.times if isinstance(dim, Rows) else dim or 0 for dim in shape]


def reshape_axis(shape: Shape, outer: int, target: Sequence[int], batch: int) -> int | None:
    """Return the axis of `target` that the batch must take, or None if no axis fits.

    A reshape keeps the flat order, so the batch stays at its place between `before` and `after`
    values.

    Args:
        shape: the dims of the reshaped tensor, one of which follows the batch.
        outer: how many of the `times` of that dim vary slower than the batch (1: it is batch-
            major).
        target: the sizes after the reshape, at the fixed `batch`.
        batch: the batch that the sizes were written for.
    """
    axis = rows_axis(shape)
    if axis is None or None in shape:
        return None
    sizes = counts(shape)
    before = math.prod(sizes[:axis]) * outer
    after = math.prod(sizes[axis:]) // outer
    fits = [
        place
        for place, dim in enumerate(target)
        if dim % batch == 0
        and _divides(math.prod(target[:place]), before)
        and _divides(math.prod(target[place + 1 :]), after)
    ]
    exact = [
        place for place in fits if target[place] == batch and math.prod(target[:place]) == before
    ]
    if exact:
        return exact[0]
    # If several axes fit, the last one is excluded because it holds the features. A later one is
    # preferred: the heads of an attention are split off the features of one row, not off rows.
    inner = [place for place in fits if place < len(target) - 1]
    return max(inner or fits, default=None)


def _divides(part: int, whole: int) -> bool:
    return part > 0 and whole % part == 0


def set_batch_dim(model: onnx.ModelProto, axes: Axes, dim: int | str) -> None:
    """Set the batch dim of the inputs, in place, on a private copy."""
    for value in model.graph.input:
        if value.name in axes:
            interface.set_dim(value, axes[value.name], dim)


def forget_shapes(model: onnx.ModelProto) -> None:
    """Drop every shape but those of the inputs, in place, on a private copy."""
    for graph in graphs(model.graph):
        inner = [] if graph is model.graph else graph.input
        del graph.value_info[:]
        for value in (*inner, *graph.output):
            if value.type.tensor_type.shape.dim:
                value.type.tensor_type.ClearField("shape")


def given(model: onnx.ModelProto, axes: Axes, batch: int, other: int) -> dict:
    """Return the shape of every input, with `batch` for the batch and `other` for other symbols."""
    return {
        spec.name: [
            batch if axes.get(spec.name) == axis else (other if isinstance(dim, str) else dim)
            for axis, dim in enumerate(spec.shape)
        ]
        for spec in interface.inputs(model)
    }


def readable(shape: Shape, symbol: str) -> list[int | str | None]:
    """Return the dims in the form that ONNX writes, with the symbol for the batch."""
    return [_label(dim, symbol) if isinstance(dim, Rows) else dim for dim in shape]


def _label(dim: Rows, symbol: str) -> str:
    return symbol if dim.times == 1 else f"{dim.times}*{symbol}"
