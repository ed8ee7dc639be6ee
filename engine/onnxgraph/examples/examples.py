"""Seeded inputs of any sizes. The batch is the first symbol that is the first dim of an input."""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from graphcore import dims
from graphcore.errors import GraphError
from graphcore.spec import Dim, Feeds, TensorSpec
from onnxgraph.examples.drawing import PLAIN, Style, draw
from onnxgraph.examples.roles import Role

USUAL = 32
"""The size of a symbolic dim other than the batch, if nothing else is known."""

LARGEST = 2**28
"""The most values in an example input, which would take 1 GB as float32."""

Run = tuple[int, Feeds, Feeds]
"""A size of the batch, the inputs and the outputs."""

NONE: Mapping[str, Any] = MappingProxyType({})
"""No relations, or no roles."""


def feeds(specs: Iterable[TensorSpec], *, batch: int, other: int = USUAL, seed: int = 0) -> Feeds:
    """Return seeded arrays for the inputs, at the sizes of `symbol_sizes`.

    Raises:
        GraphError: an array would be too large.
    """
    specs = tuple(specs)
    return drawn(specs, symbol_sizes(specs, batch=batch, other=other), seed=seed)


def drawn(
    specs: Iterable[TensorSpec],
    sizes: Mapping[str, int],
    *,
    seed: int = 0,
    style: Style = PLAIN,
    roles: Mapping[str, Role] = NONE,
) -> Feeds:
    """Return seeded arrays for inputs whose symbols have these sizes.

    Args:
        specs: the inputs.
        sizes: symbol to size.
        seed: the seed of the random values.
        style: how to draw values without a role.
        roles: input name to what the model uses its values for.

    Raises:
        GraphError: an array would be too large.
    """
    made = {}
    for number, spec in enumerate(specs):
        shape = spec.shape_at(sizes)
        if math.prod(shape) > LARGEST:
            raise GraphError(
                f"The input {spec.name!r} with the shape {shape} is too large for an example. "
                "Check its sizes."
            )
        if spec.bounds is not None:
            made[spec.name] = spec.sized(sizes).random(1, seed=seed + number)
            continue
        role = roles.get(spec.name)
        made[spec.name] = draw(
            spec.dtype, shape, seed=seed + number, style=style, role=role, sizes=sizes
        )
    return made


def symbol_sizes(
    specs: Iterable[TensorSpec],
    *,
    batch: int,
    other: int = USUAL,
    step: int = 0,
    rows: int | None = None,
    relations: Mapping[str, Dim] = NONE,
) -> dict[str, int]:
    """Return the size of each symbol.

    Args:
        specs: the inputs.
        batch: the size of the batch.
        other: the size of the first symbol that is not that of a first axis.
        step: how much larger each further symbol of that kind is.
        rows: the size of first axes whose symbol is not the batch's. The default is `batch`.
        relations: symbol to the dim it is computed from ("total" to "past + length").

    Raises:
        GraphError: a relation gives no size.
    """
    specs = tuple(specs)
    sizes = dict.fromkeys(first_symbols(specs), batch if rows is None else rows)
    sizes.update(dict.fromkeys(list(sizes)[:1], batch))
    others = [name for name in other_symbols(specs) if name not in relations]
    sizes.update((name, other + number * step) for number, name in enumerate(others))
    used = {name: dim for name, dim in relations.items() if name in all_symbols(specs)}
    extra = {name for dim in used.values() for name in dims.names(dim)} - set(sizes)
    sizes.update(dict.fromkeys(extra, other))
    return dims.solved(used, sizes)


def first_symbols(specs: Iterable[TensorSpec]) -> list[str]:
    """Return the symbols of first axes, in order. The first of them is the batch.

    A first axis that is computed (`2*batch`) counts by its first symbol, if no other axis has one.
    """
    specs = tuple(specs)
    firsts = [spec.shape[0] for spec in specs if spec.shape]
    plain = dict.fromkeys(
        dim for dim in firsts if isinstance(dim, str) and not dims.is_expression(dim)
    )
    if plain:
        return list(plain)
    known = {dim for spec in specs for dim in spec.shape[1:]}
    computed = (dims.names(dim) for dim in firsts if isinstance(dim, str))
    found = ([name for name in each if name not in known] for each in computed)
    return list(dict.fromkeys(each[0] for each in found if each))


def has_dynamic_batch(specs: Iterable[TensorSpec]) -> bool:
    """Whether the first dim of any input is symbolic."""
    return any(spec.shape and isinstance(spec.shape[0], str) for spec in specs)


def other_symbols(specs: Iterable[TensorSpec]) -> list[str]:
    """Return the symbols that are never a first dim, in order."""
    specs = tuple(specs)
    firsts = set(first_symbols(specs))
    return [name for name in all_symbols(specs) if name not in firsts]


def all_symbols(specs: Iterable[TensorSpec]) -> list[str]:
    """Return the symbols of the inputs, including those inside computed dims, in order."""
    written = [dim for spec in specs for dim in spec.shape if isinstance(dim, str)]
    return list(dict.fromkeys(name for dim in written for name in dims.names(dim)))
