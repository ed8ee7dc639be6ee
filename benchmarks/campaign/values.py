"""Values that tests of converters rarely have: NaN, infinities, both zeros, ties, large numbers.

No value is so large that a sum of products overflows, because the order of a sum would then decide
between infinity and NaN.
"""

import numpy as np

SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -0.5, -2.5, 41.0, 1e6, -1e6, 1e12)
SPECIAL += (np.inf, -np.inf, np.nan)

FINITE = tuple(value for value in SPECIAL if np.isfinite(value))

RUNS = (
    ({"batch": 1, "time": 5}, ()),
    ({"batch": 3, "time": 7}, FINITE),
    ({"batch": 2, "time": 1}, FINITE),
    ({"batch": 3, "time": 7}, SPECIAL),
)
"""The runs of every model: sizes of its symbols, and the special values among its floats."""

SHARE = 0.15
"""The fraction of special values in the floats of a run that has some."""


def sized(shape, sizes):
    """Return a shape with its symbols replaced by their sizes."""
    return tuple(sizes.get(dim, dim) for dim in shape)


def drawn(dtype, shape, random, *, special):
    """Return an array of a dtype and shape. `special` values are a fraction of its floats."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        return random.integers(0 if dtype.kind == "u" else -4, 5, shape).astype(dtype)
    values = random.normal(size=shape) * random.choice((1, 3))
    halves = random.random(shape) < 0.25
    values = np.where(halves, np.round(values * 2) / 2, values)
    if special:
        values = np.where(random.random(shape) < SHARE, random.choice(special, shape), values)
    with np.errstate(over="ignore"):
        return values.astype(dtype)


def feeds(inputs, seed):
    """Return the inputs of each of `RUNS`."""
    random = np.random.default_rng(seed)
    return [
        {t.name: drawn(t.dtype, sized(t.shape, sizes), random, special=special) for t in inputs}
        for sizes, special in RUNS
    ]
