"""TensorSpec: the name, dtype and shape of one input or output.

A shape holds sizes (`int`) and symbolic dims (`str`, such as "batch"), as in ONNX. A dim such as
"past+new" or "2*time" is computed from symbols and numbers (see `dims`).
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from graphcore import dims
from graphcore.dims import Dim
from graphcore.errors import Refusal

Feeds = dict[str, np.ndarray]
"""Arrays by the names of inputs or outputs."""

UNKNOWN_RANK: tuple[Dim, ...] = ("...",)
"""The shape of a tensor whose number of dims is unknown."""

_DTYPES = r"bool|str|string|object|u?int\d+|b?float\d+\w*|complex\d+"

_DIGITS = 18
"""The most digits of a size or an axis in a text."""

FEW = (0, 2)
"""A half-open range of integers that nearly every model accepts."""


@dataclass(frozen=True)
class TensorSpec:
    """Name, numpy dtype name and shape (with symbolic dims) of one tensor.

    `bounds` are the smallest and the largest value of an integer input that accepts only a few
    values. They may be dims: the lengths of sequences, for example, go from 1 to "time".
    """

    name: str
    dtype: str
    shape: tuple[Dim, ...]
    bounds: tuple[Dim, Dim] | None = None

    @classmethod
    def parse(cls, text: str) -> "TensorSpec":
        """Read `"images:float32:batch,3,64,64"`. Dims may also be separated by `x`.

        The dtype may be left out. A scalar has no dims: `"scale:float32:"`. Integers may have
        bounds, as in `"lengths:int64[1..time]:batch"`.

        Raises:
            Refusal: the text does not have that form.
        """
        parts = text.strip().rsplit(":", 2)
        if len(parts) == 2:
            parts.insert(1, "float32")
        if len(parts) != 3 or not parts[0]:
            raise Refusal(
                "An input is written name:dtype:dims, for example images:float32:batch,3,64,64, "
                "but this is "
                f"{text!r}."
            )
        name, dtype, dims = parts
        # "1x3x64x64" is split at x. A dim called "x" or "max" needs commas.
        by_x = re.fullmatch(r"\d+(x\d+)+", dims)
        sizes = dims.split("x" if by_x else ",") if dims.strip() else ()
        dtype, bounds = _bounds(dtype, text)
        return cls(name, _dtype(dtype, text), tuple(_dim(size, text) for size in sizes), bounds)

    @classmethod
    def from_json(cls, data: Mapping) -> "TensorSpec":
        """Read what `to_json` wrote.

        Raises:
            ValueError: the dtype is not valid, no array can have these sizes, or there are not two
                bounds.
        """
        spec = cls(data["name"], data["dtype"], tuple(data["shape"]))
        sizes = [dim for dim in spec.shape if isinstance(dim, int)]
        sized = min(sizes, default=0) >= 0 and math.prod(map(abs, sizes)) < 2**60
        if not sized or not re.fullmatch(_DTYPES, spec.dtype) or len(data.get("bounds", "12")) != 2:
            raise ValueError(
                f"{spec.name!r} was expected to have a dtype such as float32, the sizes of an "
                "array and either "
                f"two bounds or none, but is {dict(data)}"
            )
        return replace(spec, bounds=tuple(data["bounds"])) if "bounds" in data else spec

    def to_json(self) -> dict:
        """Return the spec as plain JSON data."""
        bounds = {} if self.bounds is None else {"bounds": list(self.bounds)}
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape), **bounds}

    def sized(self, sizes: Mapping[str, int]) -> "TensorSpec":
        """Return the spec with a size in place of each symbol, in its shape and its bounds.

        Raises:
            KeyError: a symbol is not among the sizes.
        """
        least, most = self.bounds or (0, 0)
        bounds = (dims.size(least, sizes), dims.size(most, sizes)) if self.bounds else None
        return TensorSpec(self.name, self.dtype, self.shape_at(sizes), bounds)

    def shape_at(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape with a size in place of each symbol.

        Raises:
            KeyError: a symbol is not among the sizes.
            GraphError: a size is negative.
        """
        return tuple(dims.size(dim, sizes) for dim in self.shape)

    def concrete(self, batch: int) -> tuple[int, ...]:
        """Return the shape with every symbol set to `batch`."""
        return tuple(dims.size(dim, dict.fromkeys(dims.names(dim), batch)) for dim in self.shape)

    def random(self, batch: int, *, seed: int = 0, integers: tuple[int, int] = FEW) -> np.ndarray:
        """Return a seeded example: normal for floats, 0 or 1 for booleans.

        Args:
            batch: the size of every symbolic dim.
            seed: the seed of the random values.
            integers: a half-open range, used where the spec has no bounds.
        """
        if self.bounds is not None:
            every = [*dims.names(self.bounds[0]), *dims.names(self.bounds[1])]
            least, most = (dims.size(each, dict.fromkeys(every, batch)) for each in self.bounds)
            integers = least, most + 1
        generator = np.random.default_rng(seed)
        shape = self.concrete(batch)
        if np.issubdtype(self.dtype, np.floating) or self.dtype == "bfloat16":
            return generator.standard_normal(shape).astype(self.dtype)
        whole = np.issubdtype(self.dtype, np.integer)
        return generator.integers(*(integers if whole else FEW), shape).astype(self.dtype)

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        bounds = "[{}..{}]".format(*self.bounds) if self.bounds else ""
        return f"{self.name}:{self.dtype}{bounds}:{','.join(map(str, self.shape))}"


def parse_specs(texts: str | Iterable[str]) -> tuple[TensorSpec, ...]:
    """Read several specs, given as a list or as one space-separated text.

    Raises:
        Refusal: one of them does not have that form, or two have the same name.
    """
    specs = tuple(map(TensorSpec.parse, texts.split() if isinstance(texts, str) else texts))
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise Refusal(f"Two tensors are named {name!r}. Give each its own name.")
    return specs


def parse_pairs(text: str) -> dict[str, str]:
    """Read pairs such as "images=pixels", separated by white space or commas.

    Raises:
        Refusal: one of them lacks a name on one side.
    """
    pairs = [pair.partition("=") for pair in text.replace(",", " ").split()]
    for left, _, right in pairs:
        if not left or not right:
            raise Refusal(f"A pair of names is written one=other, but {left!r} has no partner.")
    return {left: right for left, _, right in pairs}


def parse_checkpoint(text: str) -> tuple[Path, str]:
    """Read "weights.pth" or "weights.pth:model_ema": a file, and where the weights are inside it.

    If a file has a colon in its own name, the text is taken as that name.

    Raises:
        Refusal: no file can have this path.
    """
    path = parse_path(text)
    file, colon, key = text.rpartition(":")
    if colon and key and not path.is_file() and parse_path(file).is_file():
        return parse_path(file), key
    return path, ""


def parse_path(text: str | Path) -> Path:
    """Read the path of a file. `~` is the home folder.

    Raises:
        Refusal: no file can have this path, or there is no such home folder.
    """
    try:
        path = Path(text).expanduser()
        path.is_file()
        return path
    except (OSError, ValueError, RuntimeError) as error:
        said = (isinstance(error, OSError) and error.strerror) or str(error).rstrip(".")
        raise Refusal(f"{str(text)[:200]!r} is not the path of a file: {said}.") from error


def parse_sizes(text: str) -> dict[str, tuple[int, ...]]:
    """Read sizes of symbols, such as "time=48,96 height=64,128".

    Raises:
        Refusal: one of them does not have that form.
    """
    sizes = {}
    for each in text.split():
        symbol, _, numbers = each.partition("=")
        if not symbol.isidentifier() or not re.fullmatch(
            r"[1-9]\d{0,17}(,[1-9]\d{0,17})*", numbers
        ):
            raise Refusal(
                f"Sizes are written symbol=size,size, for example time=48,96, but this is {each!r}."
            )
        sizes[symbol] = tuple(map(int, numbers.split(",")))
    return sizes


def parse_axes(text: str) -> dict[str, int]:
    """Read pairs of a name and an axis, such as "images=0 state=1", separated as in `parse_pairs`.

    Raises:
        Refusal: one of them does not have that form.
    """
    pairs = parse_pairs(text)
    for name, axis in pairs.items():
        if not axis.isdecimal() or len(axis) > _DIGITS:
            raise Refusal(f"An axis is a number from 0 on, as in {name}=0, but this is {axis!r}.")
    return {name: int(axis) for name, axis in pairs.items()}


def _dtype(name: str, text: str) -> str:
    try:
        dtype = np.dtype(name) if name else None
    except (TypeError, ValueError, SyntaxError):
        dtype = None
    if dtype is None or dtype.kind not in "fiubc":
        raise Refusal(f"{name!r} in {text!r} is not a numpy dtype such as float32.")
    if dtype.name != name and not re.search(r"\d", name):  # "float" is 32 bits to PyTorch
        raise Refusal(
            f"{name!r} in {text!r} does not say how many bits it has, and numpy would read it as "
            f"{dtype.name}. "
            f"Write {dtype.name}, or another dtype such as float32."
        )
    return dtype.name


def _bounds(dtype: str, text: str) -> tuple[str, tuple[Dim, Dim] | None]:
    """Split "int64[1..time]" into the dtype and its bounds."""
    found = re.fullmatch(r"(u?int\d+)\[(.+)\.\.(.+)\]", dtype)
    if found is None:
        return dtype, None
    dtype, *ends = found.groups()
    least, most = (
        int(end) if re.fullmatch(r"-?\d{1,18}", end) else _dim(end, text) for end in ends
    )
    if isinstance(least, int) and isinstance(most, int) and least > most:
        raise Refusal(
            f"[{least}..{most}] in {text!r} holds no integer. Write the smaller one first."
        )
    return dtype, (least, most)


def _dim(size: str, text: str) -> Dim:
    size = size.strip()
    if size.isdecimal() and len(size) <= _DIGITS and int(size) > 0:
        return int(size)
    terms = size.split("+")
    named = any(term.isidentifier() for term in terms)
    if named and all(term.isidentifier() or term.isdecimal() for term in terms):
        return size
    raise Refusal(
        f"{size!r} in {text!r} is not a dim. A dim is a size above 0, a name like batch, or a sum "
        "like "
        "past+new."
    )
