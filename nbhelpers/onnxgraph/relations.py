"""Sizes that depend on each other, found by running: a mask is as long as past plus new tokens.

Each symbol gets a size of its own. The numbers in what the runtime objects to then say which
sizes clash, and which sum or product of others one of them must be.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from nbhelpers import dims
from nbhelpers.dims import Dim
from nbhelpers.errors import GraphError
from nbhelpers.onnxgraph.examples import all_symbols
from nbhelpers.spec import TensorSpec

Relations = dict[str, Dim]
"""Symbol to what it is computed from."""

Objection = Callable[[Mapping[str, int]], str | None]
"""Runs the model at these sizes; returns what was said against them, None if nothing was."""

SIZES = ((3, 5, 7, 11, 17, 29, 47, 73), (2, 9, 13, 19, 31, 37, 59, 83), (4, 8, 24, 56, 120, 248))
"""Sizes of the symbols in order, whose sums and differences differ; the last ones are even."""

MOST = 4
"""Symbols that may be given a relation."""

TRIES = 150
"""Runs that a search may take."""

MULTIPLES = 64
"""The largest factor and the largest constant that are tried."""


def find(objection: Objection, specs: Iterable[TensorSpec]) -> Relations | None:
    """Return relations with which the model runs at any sizes, None if none were found.

    Args:
        objection: runs the model.
        specs: its inputs.
    """
    specs = tuple(specs)
    symbols = all_symbols(specs)
    if len(symbols) < 2:
        return None
    for first, second in itertools.permutations(SIZES, 2):
        sizes = [
            dict(zip(symbols, itertools.cycle(each), strict=False)) for each in (first, second)
        ]
        found = _Search(objection, specs, symbols, sizes).found({}, MOST)
        if found is not None:
            return found
        if len(symbols) > len(SIZES[-1]):
            break
    return None


class _Search:
    """Depth first: what helps is kept, and what still clashes is related next."""

    def __init__(
        self,
        objection: Objection,
        specs: tuple[TensorSpec, ...],
        symbols: list[str],
        sizes: list[dict[str, int]],
    ) -> None:
        self._objection, self._specs, self._symbols = objection, specs, symbols
        self._sizes = sizes
        self._left = TRIES

    def found(self, relations: Relations, depth: int) -> Relations | None:
        said = self._said(relations, 0)
        if said is None:
            return relations if self._said(relations, 1) is None else None
        for name, dim in self._candidates(said, relations) if depth else ():
            more = {**relations, name: dim}
            now = self._said(more, 0)
            if now is None and self._said(more, 1) is None:
                return more
            if now is not None and depth > 1 and _place(now) != _place(said):
                deeper = self.found(more, depth - 1)
                if deeper is not None:
                    return deeper
            if self._left <= 0:
                break
        return None

    def _said(self, relations: Relations, number: int) -> str | None:
        self._left -= 1
        try:
            return self._objection(dims.solved(relations, self._sizes[number]))
        except GraphError as error:
            return str(error)

    def _candidates(self, said: str, relations: Relations) -> Iterator[tuple[str, Dim]]:
        """Yield relations that explain the numbers, then sums of any others."""
        numbers = {int(text) for text in re.findall(r"\d+", said)}
        sizes = dims.solved(relations, self._sizes[0])
        free = [name for name in self._symbols if name not in relations]
        tried = set()
        for name, target in self._clashes(numbers, sizes, free):
            for dim in _terms(target, {n: s for n, s in sizes.items() if n != name}):
                if (name, dim) not in tried and not _circular(name, dim, relations):
                    tried.add((name, dim))
                    yield name, dim
        for name in reversed(free):
            others = [dims.quoted(each) for each in self._symbols if each != name]
            sums = (f"{one} + {two}" for one, two in itertools.combinations(others, 2))
            for dim in (*sums, *others, *(f"{each} + 1" for each in others)):
                if (name, dim) not in tried and not _circular(name, dim, relations):
                    yield name, dim

    def _clashes(
        self, numbers: set[int], sizes: Mapping[str, int], free: list[str]
    ) -> Iterator[tuple[str, int]]:
        """Yield symbols whose dim is one of the numbers, and the size with which it is another."""
        written = dict.fromkeys(dim for spec in self._specs for dim in spec.shape)
        for dim in reversed(list(written)):
            size = dims.size(dim, sizes)
            if size not in numbers:
                continue
            for name, number in itertools.product(dims.names(dim), sorted(numbers - {size})):
                if name not in free:
                    continue
                fits = [
                    each
                    for each in range(1, max(MULTIPLES, number) + 1)
                    if _size(dim, {**sizes, name: each}) == number
                ]
                yield from ((name, each) for each in fits[:1])


def _terms(target: int, sizes: Mapping[str, int]) -> Iterator[Dim]:
    """Yield what has this size: a symbol, a sum of two, a neighbour, a multiple, a constant."""
    sizes = {dims.quoted(name): size for name, size in sizes.items()}
    yield from (name for name, size in sizes.items() if size == target)
    pairs = list(itertools.combinations(sizes, 2))
    yield from (f"{one} + {two}" for one, two in pairs if sizes[one] + sizes[two] == target)
    for one, two in itertools.permutations(sizes, 2):
        if sizes[one] - sizes[two] == target:
            yield f"{one} - {two}"
    yield from (f"{name} + 1" for name, size in sizes.items() if size + 1 == target)
    yield from (f"{name} - 1" for name, size in sizes.items() if size - 1 == target)
    yield from (f"{one} * {two}" for one, two in pairs if sizes[one] * sizes[two] == target)
    for name, size in sizes.items():
        if size > 1 and target % size == 0 and 1 < target // size <= MULTIPLES:
            yield f"{target // size} * {name}"
        yield from (f"{name} // {by}" for by in (2, 4, 8) if target > 1 and size // by == target)
    yield target


def _size(dim: Dim, sizes: Mapping[str, int]) -> int | None:
    try:
        return dims.size(dim, sizes)
    except GraphError:
        return None


def _circular(name: str, dim: Dim, relations: Mapping[str, Dim]) -> bool:
    """Whether a relation would depend on its own symbol."""
    waiting, seen = [*dims.names(dim)], set()
    while waiting:
        each = waiting.pop()
        if each == name:
            return True
        if each not in seen:
            seen.add(each)
            waiting += dims.names(relations.get(each, 0))
    return False


def _place(said: str) -> str:
    """Return what was said without its numbers: the node that failed."""
    return re.sub(r"\d+", "#", said)
