"""Seeded inputs that something takes: which sizes and which integers those are is tried."""

import itertools
from collections.abc import Callable, Iterable

import numpy as np

from nbhelpers.errors import GraphError
from nbhelpers.onnxgraph.examples import Feeds, feeds, other_symbols
from nbhelpers.spec import FEW, TensorSpec

EVEN_SIZES = (32, 64, 16, 8, 224, 1)
ODD_SIZES = (33, 65, 17, 9, 225, 7)
"""Tried in this order for symbolic dims that are not the batch; many models take even ones only."""

_EQUAL = [(size, 0) for size in EVEN_SIZES]
_APART = [(size, step) for size in ODD_SIZES for step in (2, 0)]
_APART += [(size, step) for size in EVEN_SIZES for step in (size, 0)]
"""Sizes of the first of those symbols, and by how much each further one is larger."""

_POSITIVE = (1, 3)
"""Integers where zeros are not taken: the least, and the one behind the greatest."""

_WIDE = ((-3, 5), (1, 5))
"""Integers beyond 0 and 1; as sizes of four dims they are not too large yet."""

Run = tuple[int, Feeds, Feeds]
"""A size of the batch, the inputs and the outputs."""

Sizes = tuple[int | None, int, int]
"""The size of first axes that are not the batch's, that of the first other symbol, and the step."""


def runs(
    run: Callable[[Feeds], Feeds],
    specs: Iterable[TensorSpec],
    batches: tuple[int, ...],
    *,
    apart: bool = False,
    seed: int = 0,
) -> list[Run]:
    """Return a run for each batch; two for a single one, if other dims are symbolic.

    The first has even sizes, the next ones have odd sizes, other ones for each symbol, if `run`
    takes any. Integers are 0 and 1, which is what most models take, or else positive; in the last
    run those inputs that can be have negative and larger ones, of 8 bits from their whole range.

    Args:
        run: what gives the outputs.
        specs: its inputs.
        batches: batch sizes.
        apart: also draw first axes that are not the batch's in another size than the batch.
        seed: of the random values.

    Raises:
        GraphError: none of the inputs is taken; what was said of the first is in the message.
    """
    specs = tuple(specs)
    symbols = bool(other_symbols(specs))
    found = []
    for number, batch in enumerate(batches * 2 if symbols and len(batches) == 1 else batches):
        others = [(1, 0)] if not symbols else _APART if number else _EQUAL
        sizes = [(rows, *other) for rows in _first_axes(batch, apart) for other in others]
        found.append(first_run(run, specs, batch, sizes, seed=seed))
    return [*found[:-1], _with_wide_integers(run, specs, found[-1], seed)]


def _first_axes(batch: int, apart: bool) -> list[int | None]:
    """Return sizes in another ratio to each batch; None comes last and is the batch itself."""
    return [*(size for size in (batch * (batch + 1), 1) if apart and size != batch), None]


def first_run(
    run: Callable[[Feeds], Feeds],
    specs: tuple[TensorSpec, ...],
    batch: int,
    sizes: Iterable[Sizes],
    *,
    seed: int = 0,
) -> Run:
    """Return a run with the first of the sizes that are taken.

    Raises:
        GraphError: none is.
    """
    refusal: GraphError | None = None
    ranges = (FEW, _POSITIVE) if _with_integers(specs) else (FEW,)
    for integers, (rows, other, step) in itertools.product(ranges, sizes):
        try:
            given = feeds(
                specs, batch=batch, other=other, step=step, rows=rows, seed=seed, integers=integers
            )
            return batch, given, run(given)
        except GraphError as error:
            refusal = refusal or error
    raise GraphError(f"No example input could be made for the model: {refusal}") from refusal


def _with_wide_integers(
    run: Callable[[Feeds], Feeds], specs: tuple[TensorSpec, ...], found: Run, seed: int
) -> Run:
    """Return the run with wider integers in each input where they are taken, and outputs stay
    finite.
    """
    batch, given, outputs = found
    for number, spec in enumerate(_with_integers(specs)):
        info = np.iinfo(spec.dtype)
        whole = [(info.min, info.max + 1)] if info.bits == 8 else []
        for least, behind in [*whole, *_WIDE]:
            sized = TensorSpec(spec.name, spec.dtype, given[spec.name].shape)
            integers = max(least, info.min), behind
            drawn = sized.random(batch, seed=seed + number, integers=integers)
            wider = given | {spec.name: drawn}
            try:
                seen = run(wider)
            except GraphError:
                continue
            if _finite(seen) or not _finite(outputs):
                given, outputs = wider, seen
                break
    return batch, given, outputs


def _with_integers(specs: Iterable[TensorSpec]) -> list[TensorSpec]:
    return [spec for spec in specs if np.issubdtype(spec.dtype, np.integer)]


def _finite(outputs: Feeds) -> bool:
    floats = (value for value in outputs.values() if np.issubdtype(value.dtype, np.inexact))
    return all(np.isfinite(value).all() for value in floats)
