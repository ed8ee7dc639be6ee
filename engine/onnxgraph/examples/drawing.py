"""Draw the values of an example: by the role of an input, if it has one, or by a style."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from graphcore import dims
from graphcore.errors import GraphError
from graphcore.spec import FEW, TensorSpec
from onnxgraph.examples.roles import Role

SPECIAL = (0.0, -0.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 1.0, -1.0)
"""Exact zeros, ties of rounding, and ones, which normal values never are."""

LARGE = (1000.0, -1000.0, 1e6, -1e6)
BEYOND = (np.nan, np.inf, -np.inf)

UNKNOWN = 2
"""The limit of indices if the size of the indexed axis is unknown."""

TEXTS = ("", "a", "Bc", "two words", "ümlaut", "12")


@dataclass(frozen=True)
class Style:
    """How to draw values without a role.

    `floats` is "normal", "uniform" (0 to 1) or "equal" (all 1). `mixed` holds values that replace
    some of them. `integers` is a half-open range. `wide` includes the ends of what a role allows,
    such as negative indices.
    """

    floats: str = "normal"
    mixed: tuple[float, ...] = ()
    integers: tuple[int, int] = FEW
    wide: bool = False


PLAIN = Style()


def draw(
    dtype: str,
    shape: tuple[int, ...],
    *,
    seed: int,
    style: Style,
    role: Role | None,
    sizes: Mapping[str, int],
) -> np.ndarray:
    """Return seeded values.

    Args:
        dtype: numpy's name ("str" for texts, which become an array of objects).
        shape: the shape of the array.
        seed: the seed of the random values.
        style: how to draw values without a role.
        role: what the model uses the values for.
        sizes: the sizes of the symbols, on which a role may depend.
    """
    generator = np.random.default_rng(seed)
    if dtype == "str":
        return generator.choice(np.array(TEXTS, object), shape)
    found = None if role is None else _by_role(role, generator, shape, style.wide, sizes)
    if found is not None:
        return found.astype(dtype)
    spec = TensorSpec("", dtype, shape)
    if not is_float(dtype):
        return spec.random(1, seed=seed, integers=style.integers)
    values = spec.random(1, seed=seed).astype(np.float64)
    if style.floats != "normal":
        values = generator.random(shape) if style.floats == "uniform" else np.ones(shape)
    if style.mixed:
        chosen = generator.choice(np.array(style.mixed), shape)
        values = np.where(generator.random(shape) < 0.5, chosen, values)
    return values.astype(dtype)


def is_float(dtype: str) -> bool:
    """Whether a dtype holds real numbers with fractions, including bfloat16 and the 8-bit
    floats."""
    return dtype.startswith(("float", "bfloat"))


def is_integer(dtype: str) -> bool:
    """Whether a dtype holds integers, which excludes booleans and texts."""
    return np.issubdtype(dtype, np.integer)


def _by_role(
    role: Role,
    generator: np.random.Generator,
    shape: tuple[int, ...],
    wide: bool,
    sizes: Mapping[str, int],
) -> np.ndarray | None:
    """Return values that fit a role, or None if the role does not determine them."""
    try:
        size = UNKNOWN if role.size is None else dims.size(role.size, sizes)
    except (GraphError, KeyError):  # the role has a symbol that no input has
        size = UNKNOWN
    if role.kind == "index":
        return _with_ends(generator, shape, -size if wide else 0, size - 1)
    if role.kind == "class":
        return _with_ends(generator, shape, -1 if wide else 0, size if wide else size - 1)
    if role.kind == "count":
        return _with_ends(generator, shape, role.least, max(role.least, size))
    if role.kind == "parts":
        return _parts(shape, size)
    if role.kind == "target":
        return _target(shape)
    if role.kind == "share":
        return generator.random(shape)
    if role.kind == "positive":
        return generator.random(shape) + 0.5
    if role.kind == "region":
        return _regions(generator, shape)
    if role.kind == "yes":
        return np.full(shape, not wide)
    return np.zeros(shape) if role.kind == "off" else None


def _with_ends(
    generator: np.random.Generator, shape: tuple[int, ...], least: int, most: int
) -> np.ndarray:
    """Return integers of a range, including both ends if there are two values or more."""
    values = generator.integers(least, max(least, most) + 1, shape)
    if values.ndim and values.size > 1:
        values.reshape(-1)[:2] = max(least, most), least
    return values


def _parts(shape: tuple[int, ...], size: int) -> np.ndarray:
    """Return lengths that add up to a size. The last one takes the remainder."""
    count = int(np.prod(shape))
    parts = np.full(count, size // max(count, 1))
    parts[-1:] += size - parts.sum()
    return parts.reshape(shape)


def _target(shape: tuple[int, ...]) -> np.ndarray:
    """Return the target of a Reshape: all values on the first axis."""
    target = np.ones(shape)
    target.reshape(-1)[:1] = -1
    return target


def _regions(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return boxes whose second corner is after the first."""
    values = generator.random(shape) * 4
    half = shape[-1] // 2 if shape else 0
    if half:
        values[..., half : 2 * half] += values[..., :half] + 0.5
    return values
