"""Which sizes of its symbols a module takes, found by running it.

A symbol in a shape promises any size, and one run cannot tell whether the file keeps the promise.
So the module runs at one size of all symbols, and then at two more of each, odd ones where it takes
them. What it gives there tells which axes of the outputs follow a symbol, and the file is compared
with it.
"""

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from nbhelpers.errors import ModelError
from nbhelpers.onnxgraph.examples import LARGEST, first_symbols
from nbhelpers.spec import TensorSpec, dim_symbols
from nbhelpers.train.arguments import Given
from nbhelpers.train.forward import tensors

Sizes = Mapping[str, int]

MORE = 2
"""How many further sizes of each symbol are run."""

FEW_ROWS = 6
"""A first axis as short as that is a batch, most likely."""

_FURTHER = tuple((2, 2, other) for other in (64, 33, 16, 17, 8, 7, 224, 48, 1, 400, 4000, 16000))
"""Sizes of the batch, of other first axes, and of the other symbols, where the usual ones fail."""

_MORE_ROWS = ((16, 16, 32), (33, 33, 32), (64, 64, 32))
"""The same for what takes no two rows, such as points in one row."""

_CHEAP = 2**20
"""So many input values make no run long: then a symbol of few rows is tried at `_MANY`, too."""

_MANY = 33

_INTEGERS = (((0, 2), False), ((1, 3), False), ((1, 3), True))
"""The least integer and the one behind the greatest, and whether those with bounds are sorted.

Some inputs take no zero, and packed sequences may want the longest one first.
"""


@dataclass(frozen=True)
class Run:
    """The module at one size of each symbol: what it was given, and what it returned."""

    sizes: Sizes
    arguments: Mapping[str, Tensor] = field(repr=False)
    outputs: Mapping[str, Tensor] = field(repr=False)


@dataclass(frozen=True)
class Runs:
    """The first run, and for each symbol those that differ from it in that symbol's size.

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
        """Return a sentence for each symbol of which only one size was taken."""
        return tuple(
            f"{symbol!r} was run at {self.taken(symbol)[0]} alone, since torch took none of the "
            "other sizes that were tried; whether the file holds at others was not seen. Give the "
            f"sizes that it takes (SIZES, such as {symbol}=48,96), or write the number."
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
        module: what is run, in eval mode; it is left as it was.
        inputs: tensors are repeated or cut to a size, others are drawn.
        sizes: for a symbol, the sizes to run at, where the usual ones are not meant.
        batch: whether to run at several sizes of the batch, too.

    Raises:
        ModelError: the module does not run at the first size.
    """
    first = first_run(module, inputs, sizes=sizes)
    wanted = sizes or {}
    further = {
        symbol: _further(module, inputs, first, symbol, number, wanted.get(symbol))
        for number, symbol in enumerate(_symbols(inputs))
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
    """Run the module at the first sizes that it takes; `sizes` as for `run_at_sizes`.

    `batch` is the size of the batch that is tried first. With one row, tracing may take the batch
    for a dim to broadcast.

    Raises:
        ModelError: it takes none, or `sizes` or bounds name an unknown symbol.
    """
    known = _symbols(inputs)
    _check_symbols(inputs, known, sizes or {})
    firsts = set(first_symbols([each.spec for each in inputs]))
    stated = _given_sizes(inputs) | {symbol: each[0] for symbol, each in (sizes or {}).items()}
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


def with_sums(module: nn.Module, inputs: Sequence[Given]) -> list[Given]:
    """Return the inputs with a symbol written as the sum of two others, where it must be that.

    A decoder's mask is as long as past and new tokens together, and a symbol of its own promises
    what the module does not take.
    """
    others = [each for each in _symbols(inputs) if each != batch_symbol(inputs)]
    apart = {symbol: 32 * 2**place for place, symbol in enumerate(_symbols(inputs))}
    if len(others) < 3 or _takes(module, inputs, apart):
        return list(inputs)
    for whole in others:
        for terms in itertools.combinations([each for each in others if each != whole], 2):
            summed = [_renamed(each, whole, "+".join(terms)) for each in inputs]
            if _takes(module, summed, apart):
                return summed
    return list(inputs)


def _takes(module: nn.Module, inputs: Sequence[Given], sizes: Sizes) -> bool:
    try:
        return bool(run_at(module, inputs, {**sizes, **_given_sizes(inputs)}))
    except ModelError:
        return False


def _renamed(each: Given, symbol: str, dim: str) -> Given:
    shape = tuple(dim if old == symbol else old for old in each.spec.shape)
    return replace(each, spec=replace(each.spec, shape=shape))


def batch_symbol(inputs: Sequence[Given]) -> str | None:
    """Return the symbol of the batch: the first one that is a first dim."""
    return next(iter(first_symbols([each.spec for each in inputs])), None)


def with_one_batch(module: nn.Module, inputs: Sequence[Given]) -> list[Given]:
    """Return the inputs with the symbol of the batch at those only that hold it.

    Tensors say their sizes. Where their first axes differ, those are the batch's that can be
    longer while the others stay.

    Raises:
        ModelError: which these are cannot be told.
    """
    lengths = {
        each.spec.name: len(each.value)
        for each in inputs
        if each.value is not None and each.spec.shape and isinstance(each.spec.shape[0], str)
    }
    if len(set(lengths.values())) < 2:
        return list(inputs)
    found = []
    for length in dict.fromkeys(lengths.values()):
        others = {name for name, size in lengths.items() if size != length}
        some = [_fixed(each) if each.spec.name in others else each for each in inputs]
        with contextlib.suppress(ModelError):
            run_at(
                module, some, {**_given_sizes(some), **dict.fromkeys(_symbols(some), length + 1)}
            )
            found.append(some)
    if len(found) == 1:
        return found[0]
    seen = ", ".join(f"{name!r} {size}" for name, size in lengths.items())
    raise ModelError(
        f"The first axes of the inputs have other sizes ({seen}), and which of them is the batch "
        "cannot be told from running the module. Give a TensorSpec for each input, with the "
        "symbols where sizes are free, or use dynamic_batch=False."
    )


def _fixed(each: Given) -> Given:
    assert each.value is not None
    return replace(each, spec=replace(each.spec, shape=tuple(each.value.shape)))


def _symbols(inputs: Sequence[Given]) -> list[str]:
    return all_symbols([each.spec for each in inputs])


def all_symbols(specs: Sequence[TensorSpec]) -> list[str]:
    """Return the symbols of the shapes, the batch first."""
    every = [symbol for spec in specs for dim in spec.shape for symbol in dim_symbols(dim)]
    firsts = [symbol for dim in first_symbols(specs) for symbol in dim_symbols(dim)]
    return list(dict.fromkeys([*firsts, *every]))


def run_at(module: nn.Module, inputs: Sequence[Given], sizes: Sizes, *, seed: int = 0) -> Run:
    """Run the module at these sizes.

    Raises:
        ModelError: it does not run, or an input would be too large.
    """
    refusal: ModelError | None = None
    whole = any("int" in each.spec.dtype for each in inputs if each.value is None)
    for integers, falling in _INTEGERS if whole else _INTEGERS[:1]:
        arguments = {
            each.spec.name: _argument(each, sizes, integers, seed + number)
            for number, each in enumerate(inputs)
        }
        if falling:
            arguments |= {
                each.spec.name: arguments[each.spec.name].sort(0, descending=True).values
                for each in inputs
                if each.value is None and each.spec.bounds and each.spec.shape
            }
        try:
            placed = {each.place: arguments[each.spec.name] for each in inputs}
            return Run(sizes, arguments, tensors(module, placed))
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
    """Return runs at other sizes of the symbol; where it cannot change alone, of all that have its
    size.
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
        # Of size 1 alone it may have been broadcast to another symbol's.
        if any(run.sizes[symbol] > 1 for run in found):
            break
    return found


def _candidates(size: int, number: int) -> Iterator[int]:
    """Yield sizes to try, in order: a larger and a smaller odd one, others for each symbol; then
    multiples, which is all that some modules take, and those close by.
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


def _given_sizes(inputs: Sequence[Given]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for each in inputs:
        if each.value is not None:
            for dim, size in zip(each.spec.shape, each.value.shape, strict=True):
                if isinstance(dim, str):
                    sizes.setdefault(dim, size)
    return sizes


def _argument(each: Given, sizes: Sizes, integers: tuple[int, int], seed: int) -> Tensor:
    spec = each.spec.sized(sizes)
    shape = spec.concrete(1)
    if each.value is not None:
        return _resized(each.value, shape)
    if math.prod(shape) > LARGEST:
        raise ModelError(
            f"The input {spec.name!r} of the shape {shape} is too large for an example input; "
            "check its sizes."
        )
    return torch.from_numpy(spec.random(1, seed=seed, integers=integers))


def _resized(value: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the tensor with its axes repeated or cut to the shape."""
    for axis, size in enumerate(shape):
        if value.shape[axis] not in (size, 0):
            rows = torch.arange(size, device=value.device) % value.shape[axis]
            value = value.index_select(axis, rows)
    return value


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
            for symbol in dim_symbols(end):
                if symbol not in known:
                    raise ModelError(
                        f"The bounds of the input {each.spec} name {symbol!r}, which is in no "
                        "shape; write a symbol of a shape, or a number."
                    )
