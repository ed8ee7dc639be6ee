"""Sizes that depend on each other, found by running: a mask, for example, covers past and new
tokens.

Each symbol gets a size of its own. The numbers in the runtime's error then show which sizes clash,
and which sum or product of others one of them must be.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from graphcore import dims
from graphcore.dims import Dim
from graphcore.errors import GraphError
from graphcore.spec import TensorSpec
from onnxgraph.examples.examples import all_symbols, first_symbols

Relations = dict[str, Dim]
"""Symbol to the dim it is computed from."""

Objection = Callable[[Mapping[str, int]], str | None]
"""A function that runs the model at these sizes and returns its error, or None for success."""

SIZES = ((3, 5, 7, 11, 17, 29, 47), (4, 8, 24, 56, 120, 248, 16), (2, 9, 13, 19, 31, 37, 59))
"""Sizes of the symbols in order, whose sums and differences differ. The second set is even."""

MOST = 4
"""Symbols that may get a relation."""

TRIES = 150
"""The most runs of a search from one set of sizes."""

_CONSTANTS = (10**9, 2, 1)
"""The least constants that a symbol may be, in the order of search: likely sizes come first."""

MULTIPLES = 64
"""The largest factor and the largest constant that are tried."""


def find(objection: Objection, specs: Iterable[TensorSpec]) -> Relations | None:
    """Return relations with which the model runs at any sizes, or None if none were found.

    Args:
        objection: runs the model and returns its error.
        specs: its inputs.
    """
    specs = tuple(specs)
    symbols = all_symbols(specs)
    if len(symbols) < 2:
        return None
    tries = 0
    for number, constants in itertools.product(range(len(SIZES)), _CONSTANTS):
        order = (*SIZES[number:], *SIZES[:number])
        sizes = [dict(zip(symbols, itertools.cycle(each), strict=False)) for each in order]
        search = _Search(objection, specs, symbols, sizes, constants)
        for most in range(1, MOST + 1):  # fewer relations first
            found = search.found({}, most)
            if found is not None:
                return found
        tries += search.tries
        if tries > len(SIZES) * TRIES:
            break
    return None


class _Search:
    """Depth first: a relation that helps is kept, and the next clash is then resolved."""

    def __init__(
        self,
        objection: Objection,
        specs: tuple[TensorSpec, ...],
        symbols: list[str],
        sizes: list[dict[str, int]],
        constants: int,
    ) -> None:
        self._objection, self._specs, self._symbols = objection, specs, symbols
        self._sizes, self._constants = sizes, constants
        self._batch = next(iter(first_symbols(specs)), None)
        # A factor that never occurs alone (the heads in `batch x heads`) is likely a constant.
        self._plain = {dim for spec in specs for dim in spec.shape}
        self._known: dict[tuple, str | None] = {}

    def found(self, relations: Relations, most: int) -> Relations | None:
        """Return the relations and at most `most` further ones with which the model runs."""
        said = self._said(relations, 0)
        if said is None:
            return relations if self._holds(relations) else None
        for name, dim in self._candidates(said, relations):
            more = {**relations, name: dim}
            now = self._said(more, 0)
            if most == 1 or now is None:
                if now is None and self._holds(more):
                    return more
            elif _place(now) != _place(said):
                deeper = self.found(more, most - 1)
                if deeper is not None:
                    return deeper
            if self.tries > TRIES:
                break
        return None

    @property
    def tries(self) -> int:
        """How often the model was run."""
        return len(self._known)

    def _holds(self, relations: Relations) -> bool:
        """Whether the model runs at other sizes, too."""
        return all(self._said(relations, number) is None for number in range(1, len(self._sizes)))

    def _said(self, relations: Relations, number: int) -> str | None:
        key = number, *sorted((name, str(dim)) for name, dim in relations.items())
        if key not in self._known:
            try:
                self._known[key] = self._objection(dims.solved(relations, self._sizes[number]))
            except GraphError as error:
                self._known[key] = str(error)
        return self._known[key]

    def _candidates(self, said: str, relations: Relations) -> Iterator[tuple[str, Dim]]:
        """Yield relations that explain the numbers, then sums of any others."""
        numbers = {int(text) for text in re.findall(r"\d+", said)}
        try:
            sizes = dims.solved(relations, self._sizes[0])
        except GraphError:
            return
        free = [name for name in self._symbols if name not in relations]
        wanted: dict[tuple[str, Dim], None] = {}
        for name, target in self._clashes(numbers, sizes, free):
            others = {each: size for each, size in sizes.items() if each != name}
            wanted.update(((name, dim), None) for dim in _terms(target, others, self._batch))
            if target >= self._constants or name not in self._plain:
                wanted[name, target] = None
        for name in reversed(free):
            own = (name, self._batch)
            names = [dims.quoted(each) for each in self._symbols if each not in own]
            sums = (f"{one} + {two}" for one, two in itertools.combinations(names, 2))
            more = (*sums, *names, *(f"{each} + 1" for each in names))
            wanted.update(((name, dim), None) for dim in more if name != self._batch)
        yield from (each for each in wanted if not _circular(*each, relations))

    def _clashes(
        self, numbers: set[int], sizes: Mapping[str, int], free: list[str]
    ) -> Iterator[tuple[str, int]]:
        """Yield symbols whose size is one of the numbers, and the size that it clashes with."""
        written = dict.fromkeys(dim for spec in self._specs for dim in spec.shape)
        for dim in reversed(list(written)):
            size = dims.size(dim, sizes)
            if size not in numbers:
                continue
            for name, number in itertools.product(dims.names(dim), sorted(numbers - {size})):
                if name not in free:
                    continue
                tried = [number] if dim == name else range(1, MULTIPLES + 1)
                fits = (each for each in tried if _size(dim, {**sizes, name: each}) == number)
                yield from ((name, each) for each in itertools.islice(fits, 1))


def _terms(target: int, sizes: Mapping[str, int], batch: str | None) -> Iterator[Dim]:
    """Yield dims of this size: a symbol, a sum of two, a neighbour, a multiple, a part.

    The batch is not added to other sizes, only multiplied.
    """
    every = {dims.quoted(name): size for name, size in sizes.items()}
    lengths = {dims.quoted(name): size for name, size in sizes.items() if name != batch}
    yield from (name for name, size in lengths.items() if size == target)
    pairs = list(itertools.combinations(lengths, 2))
    yield from (f"{one} + {two}" for one, two in pairs if lengths[one] + lengths[two] == target)
    yield from (f"{name} + 1" for name, size in lengths.items() if size + 1 == target)
    yield from (f"{name} - 1" for name, size in lengths.items() if size - 1 == target)
    for one, two in itertools.permutations(lengths, 2):
        if lengths[one] - lengths[two] == target:
            yield f"{one} - {two}"
    for one, two in itertools.combinations(every, 2):
        if every[one] * every[two] == target:
            yield f"{one} * {two}"
    for name, size in every.items():
        if size > 1 and target % size == 0 and 1 < target // size <= MULTIPLES:
            yield f"{target // size} * {name}"
        yield from (f"{name} // {by}" for by in (2, 4) if target > 1 and size // by == target)


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
    """Return an error without its numbers, which identifies the node that failed."""
    return re.sub(r"\d+", "#", said)
