"""Search seeded inputs that a model accepts, by trying sizes and values."""

import itertools
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from graphcore.dims import Dim
from graphcore.errors import GraphError
from graphcore.spec import FEW, Feeds, TensorSpec
from onnxgraph.examples import relations as related
from onnxgraph.examples.drawing import Style, is_integer
from onnxgraph.examples.examples import NONE, Run, drawn, other_symbols, symbol_sizes
from onnxgraph.examples.roles import Role
from onnxgraph.examples.variations import with_wide_integers

EVEN_SIZES = (32, 64, 16, 8, 224)
ODD_SIZES = (33, 65, 17, 9, 225, 7)
"""Sizes of symbolic dims other than the batch, in the order of trial. Many models need even
ones."""

ONE = ((1, 0),)
"""Sizes tried last. A size of one fits many others without being right, because it broadcasts."""

LONG_EVEN = (1024, 4096, 16000, 48000)
LONG_ODD = (1025, 4097, 16001, 48001)
"""Sizes tried if none of those are accepted, because audio is long."""

_POSITIVE = (1, 3)
"""A half-open range of integers for inputs that accept no zeros."""

_RARE = ((0, 1), (1, 2), (4, 9), (-1, 0))
"""Integers tried if those are not accepted: all the same, larger, negative."""

Sizes = tuple[int | None, int, int]
"""The size of first axes other than the batch, of the first other symbol, and the step."""


class NotTaken(GraphError):
    """The model accepts none of the inputs that were tried.

    `tried` is the message without its advice, for callers that have other advice.
    """

    def __init__(self, message: str, *, tried: str = "") -> None:
        """Take the message."""
        super().__init__(message)
        self.tried = tried or message


def runs(
    run: Callable[[Feeds], Feeds],
    specs: Iterable[TensorSpec],
    batches: tuple[int, ...],
    *,
    apart: bool = False,
    seed: int = 0,
    relations: Mapping[str, Dim] = NONE,
    roles: Mapping[str, Role] = NONE,
) -> list[Run]:
    """Return a run for each batch, or two runs for a single batch if other dims are symbolic.

    The first run has even sizes. The others have odd sizes, different for each symbol, if `run`
    accepts any. Integers are 0 and 1, which most models accept, or else positive. In the last run,
    inputs that allow it have negative and larger integers, and 8-bit inputs use their whole range.

    Args:
        run: the function that returns the outputs.
        specs: its inputs.
        batches: batch sizes.
        apart: also draw first axes other than the batch with another size than the batch.
        seed: the seed of the random values.
        relations: symbol to the dim it is computed from, if known.
        roles: input name to the role of its values, if known.

    Raises:
        NotTaken: none of the inputs is accepted. The message holds the error for the first one.
        Stopped: one of them took too long, as the others would.
    """
    search = Search(run, tuple(specs), seed=seed, relations=relations, roles=roles)
    if search.symbolic and len(batches) == 1:
        batches *= 2
    found = []
    for number, batch in enumerate(batches):
        found.append(search.first(batch, odd=bool(number), apart=apart))
    last = with_wide_integers(run, search.specs, found[-1], roles=search.roles, seed=seed)
    return [*found[:-1], last]


class Search:
    """Tries inputs until some are accepted, and remembers how sizes depend on each other."""

    def __init__(
        self,
        run: Callable[[Feeds], Feeds],
        specs: tuple[TensorSpec, ...],
        *,
        seed: int = 0,
        relations: Mapping[str, Dim] = NONE,
        roles: Mapping[str, Role] = NONE,
    ) -> None:
        """Take the function that runs the inputs, and what is known about them (see `runs`)."""
        self._run, self.specs, self._seed = run, specs, seed
        self._relations, self.roles = dict(relations), roles
        self.symbolic = bool(other_symbols(specs))

    def first(self, batch: int, *, odd: bool, apart: bool = False) -> Run:
        """Return a run at a size of the batch.

        Raises:
            NotTaken: nothing that was tried is accepted.
        """
        others = [(1, 0)]
        if self.symbolic:
            others = _apart((*ODD_SIZES, *EVEN_SIZES)) if odd else _equal(EVEN_SIZES)
        rows = _first_axes(batch, apart)
        try:
            return self._among(batch, [(row, *other) for row in rows for other in others])
        except GraphError as refusal:
            found = (
                self._without_roles(batch, others)
                or self._related(batch, others)
                or self._among_others(batch, (*ONE, *self._long(odd)) if self.symbolic else ())
            )
            if found is None:
                tried = f"{refusal} {self._tried()}"
                raise NotTaken(f"{tried} {self._advice()}", tried=tried) from refusal.__cause__
            return found

    def _among(self, batch: int, sizes: Iterable[Sizes]) -> Run:
        return first_run(
            self._run,
            self.specs,
            batch,
            sizes,
            seed=self._seed,
            relations=self._relations,
            roles=self.roles,
        )

    def _without_roles(self, batch: int, others: Iterable[tuple[int, int]]) -> Run | None:
        """Return a run that ignores the roles, in case one is misread, or None if that fails
        too."""
        roles, self.roles = self.roles, NONE
        found = self._among_others(batch, others) if roles else None
        if found is None:
            self.roles = roles
        return found

    def _related(self, batch: int, others: Iterable[tuple[int, int]]) -> Run | None:
        """Return a run in which sizes depend on each other, or None if that does not help."""
        if self._relations:
            return None
        found = related.find(self._objection, self.specs)
        if found is None:
            return None
        self._relations = found
        run = self._among_others(batch, others)
        if run is None:
            self._relations = {}
        return run

    def _objection(self, sizes: Mapping[str, int]) -> str | None:
        said = None
        for integers in (FEW, _POSITIVE) if _with_integers(self.specs) else (FEW,):
            style = Style(integers=integers)
            try:
                given = drawn(self.specs, sizes, seed=self._seed, style=style, roles=self.roles)
                self._run(given)
            except GraphError as error:
                said = said or str(error)
            else:
                return None
        return said

    def _among_others(self, batch: int, others: Iterable[tuple[int, int]]) -> Run | None:
        """Return a run at one of more sizes, or None if none is accepted."""
        try:
            return self._among(batch, [(None, *other) for other in others])
        except GraphError:
            return None

    def _long(self, odd: bool) -> list[tuple[int, int]]:
        return _apart((*LONG_ODD, *LONG_EVEN)) if odd else _equal(LONG_EVEN)

    def _tried(self) -> str:
        sizes = ", ".join(map(str, sorted({1, *EVEN_SIZES, *ODD_SIZES, *LONG_EVEN})))
        shown = f"the sizes {sizes}, sizes that depend on each other, and " if self.symbolic else ""
        return f"Tried were {shown}the integers -1 to 8."

    def _advice(self) -> str:
        names = ", ".join(f"{spec.name!r}: array" for spec in self.specs)
        return (
            f"Give inputs that the model accepts: examples={{{names}}}. For a verb without "
            f"`examples=`, write it inside `with onnxgraph.use_examples({{{names}}}):`."
        )


def _equal(sizes: Iterable[int]) -> list[tuple[int, int]]:
    return [(size, 0) for size in sizes]


def _apart(sizes: Iterable[int]) -> list[tuple[int, int]]:
    """Return sizes of the first symbol that is not the batch, and the step to each further symbol.

    The step is small after odd sizes, so that they stay odd, and large after even ones.
    """
    return [(size, step) for size in sizes for step in (2 if size % 2 and size > 1 else size, 0)]


def _first_axes(batch: int, apart: bool) -> list[int | None]:
    """Return sizes in another ratio to each batch. The last, None, is the batch itself."""
    return [*(size for size in (batch * (batch + 1), 1) if apart and size != batch), None]


def first_run(
    run: Callable[[Feeds], Feeds],
    specs: tuple[TensorSpec, ...],
    batch: int,
    sizes: Iterable[Sizes],
    *,
    seed: int = 0,
    relations: Mapping[str, Dim] = NONE,
    roles: Mapping[str, Role] = NONE,
) -> Run:
    """Return a run with the first sizes that are accepted (see `runs` for the arguments).

    Outputs without any finite value show nothing. In that case values from 0 to 1, and equal
    values, are tried too.

    Raises:
        GraphError: none is accepted.
    """
    refusal: GraphError | None = None
    empty: Run | None = None
    ranges = (FEW, _POSITIVE, *_RARE) if _with_integers(specs) else (FEW,)
    for integers, (rows, other, step) in itertools.product(ranges, tuple(sizes)):
        for floats in ("normal", "uniform", "equal"):
            try:
                chosen = symbol_sizes(
                    specs, batch=batch, other=other, step=step, rows=rows, relations=relations
                )
                style = Style(floats=floats, integers=integers)
                given = drawn(specs, chosen, seed=seed, style=style, roles=roles)
                found = batch, given, run(given)
            except GraphError as error:
                refusal = refusal or error
                break
            if tells(found[2]):
                return found
            empty = empty or found
        if empty is not None:
            return empty
    raise GraphError(f"No example input could be made for the model: {refusal}") from refusal


def tells(outputs: Feeds) -> bool:
    """Whether some output holds a value that can be compared, neither NaN nor infinite."""
    floats = [value for value in outputs.values() if value.dtype.kind in "fcV"]
    others = [value for value in outputs.values() if value.dtype.kind not in "fcV" and value.size]
    return bool(others) or any(np.isfinite(value.astype(complex)).any() for value in floats)


def _with_integers(specs: Iterable[TensorSpec]) -> bool:
    return any(is_integer(spec.dtype) for spec in specs)
