"""Variations of a run: integers of a wider range, special floats."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from graphcore.errors import GraphError
from graphcore.spec import Feeds, TensorSpec
from onnxgraph.examples.drawing import BEYOND, LARGE, SPECIAL, Style, is_float, is_integer
from onnxgraph.examples.examples import NONE, Run, drawn
from onnxgraph.examples.roles import Role
from onnxgraph.running.sessions import Stopped

SPECIALS = (
    ("zeros and ties", (SPECIAL,)),
    ("large values", (LARGE, LARGE[:2])),
    ("NaN and infinity", (BEYOND, BEYOND[1:], BEYOND[:1])),
)
"""Names of special values, and the sets to try, the largest first."""

_WIDE = ((-3, 5), (1, 5))
"""Integers beyond 0 and 1, which are still small enough as sizes of four dims."""


def with_wide_integers(
    run: Callable[[Feeds], Feeds],
    specs: tuple[TensorSpec, ...],
    found: Run,
    *,
    roles: Mapping[str, Role] = NONE,
    seed: int = 0,
) -> Run:
    """Return the run with wider integers in each input that accepts them with finite outputs."""
    batch, given, outputs = found
    integers = [spec for spec in specs if is_integer(spec.dtype)]
    for number, spec in enumerate(integers):
        for value in _wide(spec, specs, given, roles=roles, seed=seed + number):
            wider = given | {spec.name: value}
            try:
                seen = run(wider)
            except (GraphError, Stopped):
                continue
            if finite(seen) or not finite(outputs):
                given, outputs = wider, seen
                break
    return batch, given, outputs


def special(
    run: Callable[[Feeds], Feeds],
    specs: tuple[TensorSpec, ...],
    found: Run,
    *,
    roles: Mapping[str, Role] = NONE,
) -> list[tuple[str, Feeds, Feeds]]:
    """Return runs like a given one with special values in its floats, and the names of the values.

    Only values that keep every output finite are used, because then the model defines their result.
    """
    _, given, outputs = found
    floats = [spec for spec in specs if is_float(spec.dtype) and given[spec.name].size]
    made = []
    for name, choices in SPECIALS if floats and finite(outputs) else ():
        for mixed in choices:
            more = given | _redrawn(floats, specs, given, Style(mixed=mixed), roles=roles, seed=1)
            try:
                seen = run(more)
            except (GraphError, Stopped):
                continue
            if finite(seen):
                made.append((name, more, seen))
                break
    return made


def finite(outputs: Feeds) -> bool:
    """Whether every output is finite."""
    floats = (value for value in outputs.values() if np.issubdtype(value.dtype, np.inexact))
    return all(np.isfinite(value).all() for value in floats)


def _wide(
    spec: TensorSpec,
    specs: tuple[TensorSpec, ...],
    given: Feeds,
    *,
    roles: Mapping[str, Role],
    seed: int,
) -> Iterator[np.ndarray]:
    """Yield wider values of one input: the ends of its role, or other ranges."""
    if spec.bounds is not None:
        return
    if spec.name in roles:
        yield _redrawn([spec], specs, given, Style(wide=True), roles=roles, seed=seed)[spec.name]
        return
    info = np.iinfo(spec.dtype)
    whole = [(info.min, info.max + 1)] if info.bits == 8 else []
    sized = TensorSpec(spec.name, spec.dtype, given[spec.name].shape)
    for least, behind in [*whole, *_WIDE]:
        yield sized.random(1, seed=seed, integers=(max(least, info.min), behind))


def _redrawn(
    chosen: Iterable[TensorSpec],
    specs: Iterable[TensorSpec],
    given: Feeds,
    style: Style,
    *,
    roles: Mapping[str, Role],
    seed: int,
) -> Feeds:
    """Return other values for some of the inputs, in the same shapes."""
    sizes = {
        dim: size
        for spec in specs
        for dim, size in zip(spec.shape, given[spec.name].shape, strict=True)
        if isinstance(dim, str)
    }
    shaped = [TensorSpec(spec.name, spec.dtype, given[spec.name].shape) for spec in chosen]
    return drawn(shaped, sizes, seed=seed, style=style, roles=roles)
