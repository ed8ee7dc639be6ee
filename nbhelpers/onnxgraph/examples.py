"""Seeded inputs of any sizes; the batch is the first symbol that stands first in an input."""

import math
from collections.abc import Iterable

import numpy as np

from nbhelpers.errors import GraphError
from nbhelpers.spec import FEW, TensorSpec

USUAL = 32
"""The size of a symbolic dim that is not the batch, where nothing else is known."""

LARGEST = 2**28
"""An example input has no more values than this; it would take 1 GB as float32."""

Feeds = dict[str, np.ndarray]


def feeds(
    specs: Iterable[TensorSpec],
    *,
    batch: int,
    other: int = USUAL,
    step: int = 0,
    rows: int | None = None,
    seed: int = 0,
    integers: tuple[int, int] = FEW,
) -> Feeds:
    """Return seeded arrays for the inputs.

    Args:
        specs: the inputs.
        batch: the size of the batch.
        other: the size of the first symbol that is not that of a first axis.
        step: by how much each further symbol of that kind is larger.
        rows: the size of first axes whose symbol is not the batch's; left out, `batch`.
        seed: of the random values.
        integers: the least integer, and the one behind the greatest.

    Raises:
        GraphError: an array would be too large.
    """
    specs = tuple(specs)
    made = {}
    wanted = shapes(specs, batch=batch, other=other, step=step, rows=rows)
    for number, (spec, shape) in enumerate(zip(specs, wanted, strict=True)):
        if math.prod(shape) > LARGEST:
            raise GraphError(
                f"The input {spec.name!r} of the shape {shape} is too large for an example input; "
                "check its sizes."
            )
        sized = TensorSpec(spec.name, spec.dtype, shape)
        made[spec.name] = sized.random(batch, seed=seed + number, integers=integers)
    return made


def shapes(
    specs: Iterable[TensorSpec],
    *,
    batch: int,
    other: int = USUAL,
    step: int = 0,
    rows: int | None = None,
) -> list[tuple[int, ...]]:
    """Return the shapes of the inputs; see `feeds` for the arguments."""
    specs = tuple(specs)
    sizes = dict.fromkeys(first_symbols(specs), batch if rows is None else rows)
    sizes.update(dict.fromkeys(list(sizes)[:1], batch))
    sizes.update((dim, other + number * step) for number, dim in enumerate(other_symbols(specs)))
    return [
        tuple(dim if isinstance(dim, int) else sizes[dim] for dim in spec.shape) for spec in specs
    ]


def first_symbols(specs: Iterable[TensorSpec]) -> list[str]:
    """Return the symbols of first axes, in order; the first of them is the batch."""
    firsts = (spec.shape[0] for spec in specs if spec.shape)
    return list(dict.fromkeys(dim for dim in firsts if isinstance(dim, str)))


def has_dynamic_batch(specs: Iterable[TensorSpec]) -> bool:
    """Whether the first dim of any input is symbolic."""
    return any(spec.shape and isinstance(spec.shape[0], str) for spec in specs)


def other_symbols(specs: Iterable[TensorSpec]) -> list[str]:
    """Return the symbols that stand first nowhere, in order."""
    specs = tuple(specs)
    firsts = {spec.shape[0] for spec in specs if spec.shape}
    rest = (dim for spec in specs for dim in spec.shape[1:])
    return list(dict.fromkeys(d for d in rest if isinstance(d, str) and d not in firsts))
