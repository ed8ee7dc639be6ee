"""The table of steps, and functions by which a step finds tensors that fit it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from sketch import Sketch, Tensor

FLOATS = ("float32", "float16", "float64")
INTS = ("int32", "int64", "uint8", "int8")
NUMBERS = FLOATS + INTS
BASIC = ("float32", "float64", "int32", "int64")
"""The dtypes that an op took before they were widened in opset 11 to 14."""


class Unfit(Exception):
    """No tensor of the sketch fits the step."""


@dataclass(frozen=True)
class Step:
    """A step that adds an op: its name, the opsets that have it in this form, and the function."""

    name: str
    since: int
    until: int
    add: Callable[[Any, Sketch], None]


STEPS: list[Step] = []


def step(name: str, since: int = 1, until: int = 99):
    """Put the decorated function into the table under the name of its op."""

    def put(function):
        STEPS.append(Step(name, since, until, function))
        return function

    return put


def pick(draw, sketch: Sketch, dtypes, *, least: int = 0, most: int = 9, exact=False, where=None):
    """Draw a tensor of one of the dtypes, with `least` to `most` dims.

    Raises:
        Unfit: no tensor fits.
    """
    fitting = [
        t
        for t in sketch.tensors
        if t.dtype in dtypes and least <= t.rank <= most and (t.exact or not exact)
    ]
    fitting = [t for t in fitting if where is None or where(t)]
    if not fitting:
        raise Unfit
    return draw(st.sampled_from(fitting[::-1]))


def partner(draw, sketch: Sketch, x: Tensor, *, exact=False, constants=None):
    """Draw a tensor of the same dtype that broadcasts with x.

    Return it and the shape of both.

    It is a tensor of the sketch, or a weight with one of the values `constants`.
    """
    fitting = [
        t
        for t in sketch.tensors
        if t.dtype == x.dtype and (t.exact or not exact) and broadcast(t.shape, x.shape) is not None
    ]
    if constants is None and fitting and draw(st.booleans()):
        other = draw(st.sampled_from(fitting[::-1]))
        return other, broadcast(other.shape, x.shape)
    shapes = [(), (1,)]
    shapes += [x.shape[-1:]] if x.rank and isinstance(x.shape[-1], int) else []
    if x.rank > 2 and isinstance(x.shape[1], int):
        shapes.append((x.shape[1], *(1,) * (x.rank - 2)))
    shape = draw(st.sampled_from(shapes))
    choices = constants or CONSTANTS[np_kind(x.dtype)]
    count = int(np.prod(shape, dtype=int))
    values = [draw(st.sampled_from(choices)) for _ in range(min(count, 7))]
    name = sketch.weight(np.resize(values, shape).astype(x.dtype))
    return name, broadcast(shape, x.shape)


CONSTANTS = {
    "f": (1.0, 0.0, -0.0, 2.0, 0.5, -1.5, 41.0, 3.0, -0.25, float("inf"), float("nan")),
    "i": (1, 0, 2, -1, 3, 41, -7),
    "u": (1, 0, 2, 3, 41),
    "b": (True, False),
}


def np_kind(dtype: str) -> str:
    """Return numpy's letter for a dtype."""
    return np.dtype(dtype).kind


def broadcast(one, other):
    """Return the shape of two broadcast shapes, or None if they do not fit."""
    rank = max(len(one), len(other))
    one = (1,) * (rank - len(one)) + tuple(one)
    other = (1,) * (rank - len(other)) + tuple(other)
    if any(a != b and 1 not in (a, b) for a, b in zip(one, other, strict=True)):
        return None
    return tuple(b if a == 1 else a for a, b in zip(one, other, strict=True))


def axis_of(draw, x: Tensor, *, fixed=False):
    """Draw an axis of a tensor, negative or not. With `fixed` its size is a number."""
    axes = [a for a in range(x.rank) if not fixed or isinstance(x.shape[a], int)]
    if not axes:
        raise Unfit
    axis = draw(st.sampled_from(axes))
    return axis, draw(st.sampled_from((axis, axis - x.rank)))
