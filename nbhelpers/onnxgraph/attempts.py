"""Seeded inputs that something takes: which sizes and which values those are is tried."""

import itertools
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from nbhelpers.dims import Dim
from nbhelpers.errors import GraphError
from nbhelpers.onnxgraph import relations as related
from nbhelpers.onnxgraph.drawing import BEYOND, LARGE, SPECIAL, Style, is_float
from nbhelpers.onnxgraph.examples import (
    NONE,
    Feeds,
    drawn,
    other_symbols,
    symbol_sizes,
)
from nbhelpers.onnxgraph.roles import Role
from nbhelpers.spec import FEW, TensorSpec

EVEN_SIZES = (32, 64, 16, 8, 224)
ODD_SIZES = (33, 65, 17, 9, 225, 7)
"""Tried in this order for symbolic dims that are not the batch; many models take even ones only."""

ONE = ((1, 0),)
"""Tried last: a size of one fits many others without being right, as it is broadcast."""

LONG_EVEN = (1024, 4096, 16000, 48000)
LONG_ODD = (1025, 4097, 16001, 48001)
"""Tried when none of those are taken: audio is long."""

SPECIALS = (
    ("zeros and ties", (SPECIAL,)),
    ("large values", (LARGE, LARGE[:2])),
    ("NaN and infinity", (BEYOND, BEYOND[1:], BEYOND[:1])),
)
"""Names of special values, and which are tried, the most first."""

_POSITIVE = (1, 3)
"""Integers where zeros are not taken: the least, and the one behind the greatest."""

_RARE = ((0, 1), (1, 2), (4, 9), (-1, 0))
"""Integers that are tried when those are not taken: all the same, larger, negative."""

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
    relations: Mapping[str, Dim] = NONE,
    roles: Mapping[str, Role] = NONE,
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
        relations: symbol to what it is computed from, where that is known.
        roles: input name to what its values are for, where that is known.

    Raises:
        GraphError: none of the inputs is taken; what was said of the first is in the message.
    """
    search = Search(run, tuple(specs), seed=seed, relations=relations, roles=roles)
    symbols = bool(other_symbols(search.specs))
    found = []
    for number, batch in enumerate(batches * 2 if symbols and len(batches) == 1 else batches):
        found.append(search.first(batch, odd=bool(number), apart=apart))
    return [*found[:-1], search.with_wide_integers(found[-1])]


class Search:
    """Tries inputs until some are taken, and remembers how sizes depend on each other."""

    def __init__(
        self,
        run: Callable[[Feeds], Feeds],
        specs: tuple[TensorSpec, ...],
        *,
        seed: int = 0,
        relations: Mapping[str, Dim] = NONE,
        roles: Mapping[str, Role] = NONE,
    ) -> None:
        """Take what runs the inputs, and what is known of them; see `runs`."""
        self.run, self.specs, self.seed = run, specs, seed
        self.relations, self.roles = dict(relations), roles

    def first(self, batch: int, *, odd: bool, apart: bool = False) -> Run:
        """Return a run at a size of the batch.

        Raises:
            GraphError: nothing that was tried is taken.
        """
        others = [(1, 0)]
        if symbols := self._symbols():
            others = _apart((*ODD_SIZES, *EVEN_SIZES)) if odd else _equal(EVEN_SIZES)
        rows = _first_axes(batch, apart)
        try:
            return self._among(batch, [(row, *other) for row in rows for other in others])
        except GraphError as refusal:
            found = (
                self._without_roles(batch, others)
                or self._related(batch, others)
                or self._among_others(batch, (*ONE, *self._long(odd)) if symbols else ())
            )
            if found is None:
                raise GraphError(f"{refusal} {self._advice()}") from refusal.__cause__
            return found

    def _among(self, batch: int, sizes: Iterable[Sizes]) -> Run:
        return first_run(
            self.run,
            self.specs,
            batch,
            sizes,
            seed=self.seed,
            relations=self.relations,
            roles=self.roles,
        )

    def _without_roles(self, batch: int, others: Iterable[tuple[int, int]]) -> Run | None:
        """Return a run in which no role is heeded, None if there is none: one may be misread."""
        roles, self.roles = self.roles, NONE
        found = self._among_others(batch, others) if roles else None
        if found is None:
            self.roles = roles
        return found

    def _related(self, batch: int, others: Iterable[tuple[int, int]]) -> Run | None:
        """Return a run in which sizes depend on each other, None if that does not help."""
        if self.relations:
            return None
        found = related.find(self._objection, self.specs)
        if found is None:
            return None
        self.relations = found
        try:
            return self._among(batch, [(None, *other) for other in others])
        except GraphError:
            self.relations = {}
            return None

    def _objection(self, sizes: Mapping[str, int]) -> str | None:
        said = None
        for integers in (FEW, _POSITIVE) if _with_integers(self.specs) else (FEW,):
            style = Style(integers=integers)
            try:
                given = drawn(self.specs, sizes, seed=self.seed, style=style, roles=self.roles)
                self.run(given)
            except GraphError as error:
                said = said or str(error)
            else:
                return None
        return said

    def _among_others(self, batch: int, others: Iterable[tuple[int, int]]) -> Run | None:
        """Return a run at one of more sizes, None if none is taken."""
        try:
            return self._among(batch, [(None, *other) for other in others])
        except GraphError:
            return None

    def _long(self, odd: bool) -> list[tuple[int, int]]:
        return _apart((*LONG_ODD, *LONG_EVEN)) if odd else _equal(LONG_EVEN)

    def _advice(self) -> str:
        """Return what was tried, and what the user can do."""
        sizes = ", ".join(map(str, sorted({1, *EVEN_SIZES, *ODD_SIZES, *LONG_EVEN})))
        names = ", ".join(f"{spec.name!r}: array" for spec in self.specs)
        tried = (
            f"the sizes {sizes}, sizes that depend on each other, and " if self._symbols() else ""
        )
        return (
            f"Tried were {tried}the integers -1 to 8. Give inputs that the model takes: "
            f"examples={{{names}}}. For a verb without `examples=`, write it inside "
            f"`with onnxgraph.use_examples({{{names}}}):`."
        )

    def _symbols(self) -> bool:
        return bool(other_symbols(self.specs))

    def with_wide_integers(self, found: Run) -> Run:
        """Return the run with wider integers in each input where they are taken, and outputs stay
        finite.
        """
        batch, given, outputs = found
        for number, spec in enumerate(_with_integers(self.specs)):
            for value in self._wide(spec, given, batch, number):
                wider = given | {spec.name: value}
                try:
                    seen = self.run(wider)
                except GraphError:
                    continue
                if finite(seen) or not finite(outputs):
                    given, outputs = wider, seen
                    break
        return batch, given, outputs

    def _wide(self, spec: TensorSpec, given: Feeds, batch: int, number: int) -> Iterable:
        """Yield wider values of one input: the ends of its role, or other ranges."""
        if spec.bounds is not None:
            return
        sized = TensorSpec(spec.name, spec.dtype, given[spec.name].shape)
        if spec.name in self.roles:
            style, seed = Style(wide=True), self.seed + number
            yield _redrawn([spec], given, seed, style, self.roles, self.specs)[spec.name]
            return
        info = np.iinfo(spec.dtype)
        whole = [(info.min, info.max + 1)] if info.bits == 8 else []
        for least, behind in [*whole, *_WIDE]:
            integers = max(least, info.min), behind
            yield sized.random(batch, seed=self.seed + number, integers=integers)


def special(
    run: Callable[[Feeds], Feeds],
    specs: tuple[TensorSpec, ...],
    found: Run,
    *,
    roles: Mapping[str, Role] = NONE,
    seed: int = 1,
) -> list[tuple[str, Feeds, Feeds]]:
    """Return runs like one that was found, with special values in its floats, and what they are.

    Only values are taken with which every output stays finite: then the model says what to do with
    them.
    """
    _, given, outputs = found
    floats = [spec for spec in specs if is_float(spec.dtype) and given[spec.name].size]
    made = []
    for name, choices in SPECIALS if floats and finite(outputs) else ():
        for mixed in choices:
            more = given | _redrawn(floats, given, seed, Style(mixed=mixed), roles)
            try:
                seen = run(more)
            except GraphError:
                continue
            if finite(seen):
                made.append((name, more, seen))
                break
    return made


def _equal(sizes: Iterable[int]) -> list[tuple[int, int]]:
    return [(size, 0) for size in sizes]


def _apart(sizes: Iterable[int]) -> list[tuple[int, int]]:
    """Return sizes of the first symbol that is not the batch, and by how much each further one is
    larger: a little beside odd ones, so that they stay odd, a lot beside even ones.
    """
    return [(size, step) for size in sizes for step in (2 if size % 2 and size > 1 else size, 0)]


def _first_axes(batch: int, apart: bool) -> list[int | None]:
    """Return sizes in another ratio to each batch; None comes last and is the batch itself."""
    return [*(size for size in (batch * (batch + 1), 1) if apart and size != batch), None]


def _redrawn(
    specs: Iterable[TensorSpec],
    given: Feeds,
    seed: int,
    style: Style,
    roles: Mapping[str, Role],
    others: Iterable[TensorSpec] = (),
) -> Feeds:
    """Return other values of the same shapes; `others` know the sizes of more symbols."""
    specs = list(specs)
    sizes = {
        dim: size
        for spec in (*others, *specs)
        for dim, size in zip(spec.shape, given[spec.name].shape, strict=True)
        if isinstance(dim, str)
    }
    shaped = [TensorSpec(spec.name, spec.dtype, given[spec.name].shape) for spec in specs]
    return drawn(shaped, sizes, seed=seed, style=style, roles=roles)


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
    """Return a run with the first of the sizes that are taken; see `runs` for the arguments.

    Outputs that hold no finite value show nothing: then values from 0 to 1, and equal ones, are
    tried, too.

    Raises:
        GraphError: none is.
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
    """Whether some output holds a value that can be compared: not NaN, nor infinite."""
    floats = [value for value in outputs.values() if value.dtype.kind in "fcV"]
    others = [value for value in outputs.values() if value.dtype.kind not in "fcV" and value.size]
    return bool(others) or any(np.isfinite(value.astype(complex)).any() for value in floats)


def finite(outputs: Feeds) -> bool:
    """Whether every output is finite."""
    floats = (value for value in outputs.values() if np.issubdtype(value.dtype, np.inexact))
    return all(np.isfinite(value).all() for value in floats)


def _with_integers(specs: Iterable[TensorSpec]) -> list[TensorSpec]:
    return [spec for spec in specs if np.issubdtype(spec.dtype, np.integer)]
