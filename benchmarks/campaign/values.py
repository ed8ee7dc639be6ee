"""Values that tests of converters seldom hold: NaN, infinities, both zeros, ties, large numbers.

None is so large that a sum of products overflows: the order of a sum would then decide between
infinity and NaN.
"""

import numpy as np

SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -0.5, -2.5, 41.0, 1e6, -1e6, 1e12)
SPECIAL += (np.inf, -np.inf, np.nan)

SIZES = ({"batch": 1, "time": 5}, {"batch": 3, "time": 7}, {"batch": 2, "time": 1})
"""What every model is run at: sizes of its symbols."""


def sized(shape, sizes):
    """Return a shape with its symbols replaced by their sizes."""
    return tuple(sizes.get(dim, dim) for dim in shape)


def drawn(dtype, shape, random, *, special):
    """Return an array of a dtype and shape; `special` is the share of special values in floats."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        return random.integers(0 if dtype.kind == "u" else -4, 5, shape).astype(dtype)
    values = random.normal(size=shape) * random.choice((1, 3))
    halves = random.random(shape) < 0.25
    values = np.where(halves, np.round(values * 2) / 2, values)
    chosen = random.random(shape) < special
    with np.errstate(over="ignore"):
        return np.where(chosen, random.choice(SPECIAL, shape), values).astype(dtype)


def feeds(inputs, seed, *, special):
    """Return the inputs of each run: one for each of `SIZES`, the first without special values."""
    random = np.random.default_rng(seed)
    runs = []
    for number, sizes in enumerate(SIZES):
        share = special if number else 0.0
        runs.append(
            {t.name: drawn(t.dtype, sized(t.shape, sizes), random, special=share) for t in inputs}
        )
    return runs
