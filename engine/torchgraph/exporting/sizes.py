"""The sizes of its symbols that a module accepts, found by running it.

A symbol in a shape promises any size, and one run cannot show whether the file keeps the promise.
So the module runs at one size of all symbols, and then at two more of each, odd ones if it accepts
them. The results show which axes of the outputs follow a symbol, and the file is compared with
them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from graphcore import dims
from graphcore.errors import ModelError
from onnxgraph.examples.examples import first_symbols
from torchgraph.exporting.arguments import Given
from torchgraph.exporting.runs import Run, Sizes, batch_symbol, given_sizes, input_symbols, run_at

MORE = 2
"""How many further sizes of each symbol are run."""

FEW_ROWS = 6
"""A first axis of at most this size is most likely a batch."""

_FURTHER = tuple((2, 2, other) for other in (64, 33, 16, 17, 8, 7, 224, 48, 1, 400, 4000, 16000))
"""Sizes of the batch, of other first axes, and of other symbols, to try if the usual ones fail."""

_MORE_ROWS = ((16, 16, 32), (33, 33, 32), (64, 64, 32))
"""The same for modules that accept no two rows, such as points in one row."""

_CHEAP = 2**20
"""The most input values of a quick run. A symbol of few rows is then also tried at `_MANY`."""

_MANY = 33


@dataclass(frozen=True)
class Runs:
    """The first run, and for each symbol the runs that differ from it in that symbol's size.

    `stated` are the symbols whose sizes the user gave.
    """

    first: Run
    further: Mapping[str, Sequence[Run]]
    stated: frozenset[str] = frozenset()

    def taken(self, symbol: str) -> list[int]:
        """Return the sizes of the symbol that the module ran at."""
        return [each.sizes[symbol] for each in (self.first, *self.further[symbol])]

    def seen(self) -> dict[str, tuple[int, ...]]:
        """Return the sizes of each symbol that the module ran at."""
        return {symbol: tuple(self.taken(symbol)) for symbol in self.further}

    def single(self) -> tuple[str, ...]:
        """Return a sentence for each symbol that ran at one size only."""
        return tuple(
            f"{symbol!r} was run only at {self.taken(symbol)[0]}, because torch accepted none of "
            "the other sizes that were tried, so the file was not compared at others. Give the "
            f"sizes that the module accepts (SIZES, for example {symbol}=48,96), or write the "
            "number."
            for symbol, runs in self.further.items()
            if not runs and symbol not in self.stated
        )


def run_at_sizes(
    module: nn.Module,
    inputs: Sequence[Given],
    *,
    sizes: Mapping[str, Sequence[int]] | None = None,
    batch: bool = True,
) -> Runs:
    """Run the module at several sizes of each symbol of its inputs.

    Args:
        module: the module to run, in eval mode. It is left unchanged.
        inputs: tensors are repeated or cut to a size, others are drawn.
        sizes: for a symbol, the sizes to run at instead of the usual ones.
        batch: whether to run at several sizes of the batch, too.

    Raises:
        ModelError: the module does not run at the first size.
    """
    first = first_run(module, inputs, sizes=sizes)
    wanted = sizes or {}
    further = {
        symbol: _further(module, inputs, first, symbol, number, wanted.get(symbol))
        for number, symbol in enumerate(input_symbols(inputs))
        if batch or symbol != batch_symbol(inputs)
    }
    return Runs(first, further, frozenset(wanted))


def first_run(
    module: nn.Module,
    inputs: Sequence[Given],
    *,
    sizes: Mapping[str, Sequence[int]] | None = None,
    batch: int = 2,
) -> Run:
    """Run the module at the first sizes that it accepts. `sizes` are as for `run_at_sizes`.

    `batch` is the size of the batch to try first. With one row, tracing may mistake the batch for a
    dim to broadcast.

    Raises:
        ModelError: it accepts none, or `sizes` or bounds name an unknown symbol.
    """
    known = input_symbols(inputs)
    _check_symbols(inputs, known, sizes or {})
    firsts = set(first_symbols([each.spec for each in inputs]))
    stated = given_sizes(inputs) | {symbol: each[0] for symbol, each in (sizes or {}).items()}
    refusal: ModelError | None = None
    usual = ((batch, 3 * batch, 32), (batch, batch, 32), (2, 2, 32))
    others = (*(_FURTHER if set(known) - firsts else ()), *(_MORE_ROWS if firsts else ()))
    for batch, rows, other in (*usual, *others):
        tried = {symbol: rows if symbol in firsts else other for symbol in known}
        tried |= {symbol: batch for symbol in known[:1] if symbol in firsts}
        try:
            return run_at(module, inputs, tried | stated)
        except ModelError as error:
            refusal = refusal or error
    raise refusal or ModelError("There are no inputs.")


def _further(
    module: nn.Module,
    inputs: Sequence[Given],
    first: Run,
    symbol: str,
    number: int,
    wanted: Sequence[int] | None,
) -> list[Run]:
    """Return runs at other sizes of the symbol. If it cannot change alone, all symbols of its size
    change with it.
    """
    size = first.sizes[symbol]
    most = MORE + _cheap(inputs, {**first.sizes, symbol: _MANY}) if size <= FEW_ROWS else MORE
    alike = [each for each, seen in first.sizes.items() if seen == size]
    found: list[Run] = []
    for together in ([symbol], alike) if len(alike) > 1 else ([symbol],):
        found = []
        for other in wanted or _candidates(size, number):
            if other == size or (len(found) == most and not wanted):
                continue
            try:
                sizes = {**first.sizes, **dict.fromkeys(together, other)}
                found.append(run_at(module, inputs, sizes, seed=other))
            except ModelError:
                continue
        # With size 1 it may only have been broadcast to the size of another symbol.
        if any(run.sizes[symbol] > 1 for run in found):
            break
    return found


def _candidates(size: int, number: int) -> Iterator[int]:
    """Yield sizes to try, in order: a larger and a smaller odd one, different for each symbol. Then
    multiples, which is all that some modules accept, and sizes close by.
    """
    if size <= FEW_ROWS:  # a batch, most likely
        yield from dict.fromkeys((3, 1, _MANY, 5, 7, 4, 2, 6, 8, 3 * size))
        return
    apart = 2 * number
    odd = (2 * size + 1 + apart, size // 2 + 1 + apart, size + 1 + apart, 3 * size // 4 | 1)
    whole = (2 * size, 3 * size, size // 2, 3 * size // 2, size - 1, size + 2, size - 2, 1)
    yield from dict.fromkeys((*(each | 1 for each in odd), *whole))


def _cheap(inputs: Sequence[Given], sizes: Sizes) -> bool:
    shapes = [each.spec.sized(sizes).concrete(1) for each in inputs]
    return sum(map(math.prod, shapes)) <= _CHEAP


def _check_symbols(
    inputs: Sequence[Given], known: Sequence[str], sizes: Mapping[str, Sequence[int]]
) -> None:
    for symbol in sizes:
        if symbol not in known:
            raise ModelError(
                f"SIZES names {symbol!r}, but the symbols of the inputs are "
                f"{', '.join(known) or 'none'}."
            )
    for each in inputs:
        for end in each.spec.bounds or ():
            for symbol in dims.names(end):
                if symbol not in known:
                    raise ModelError(
                        f"The bounds of the input {each.spec} name {symbol!r}, which is in no "
                        "shape. Write a symbol of a shape, or a number."
                    )
