"""One run of a module at given sizes of its symbols, on drawn inputs or on the user's tensors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from graphcore import dims
from graphcore.errors import ModelError
from graphcore.spec import TensorSpec
from onnxgraph.examples.examples import LARGEST, first_symbols
from torchgraph.exporting.arguments import Given
from torchgraph.modules.forward import tensors

Sizes = Mapping[str, int]

_INTEGERS = (((0, 2), False), ((1, 3), False), ((1, 3), True))
"""Half-open ranges of integers, and whether values with bounds are sorted.

Some inputs accept no zero, and packed sequences may need the longest one first.
"""


@dataclass(frozen=True)
class Run:
    """The module at one size of each symbol: its inputs and its results."""

    sizes: Sizes
    arguments: Mapping[str, Tensor] = field(repr=False)
    outputs: Mapping[str, Tensor] = field(repr=False)


def run_at(module: nn.Module, inputs: Sequence[Given], sizes: Sizes, *, seed: int = 0) -> Run:
    """Run the module at these sizes.

    Raises:
        ModelError: it does not run, or an input would be too large.
    """
    refusal: ModelError | None = None
    whole = any("int" in each.spec.dtype for each in inputs if each.value is None)
    for integers, falling in _INTEGERS if whole else _INTEGERS[:1]:
        arguments = {
            each.spec.name: _argument(each, sizes, integers, seed + number)
            for number, each in enumerate(inputs)
        }
        if falling:
            arguments |= {
                each.spec.name: arguments[each.spec.name].sort(0, descending=True).values
                for each in inputs
                if each.value is None and each.spec.bounds and each.spec.shape
            }
        try:
            placed = {each.place: arguments[each.spec.name] for each in inputs}
            return Run(sizes, arguments, tensors(module, placed))
        except ModelError as error:
            refusal = refusal or error
    raise refusal or ModelError("There are no inputs.")


def input_symbols(inputs: Sequence[Given]) -> list[str]:
    """Return the symbols of the inputs, the batch first."""
    return all_symbols([each.spec for each in inputs])


def all_symbols(specs: Sequence[TensorSpec]) -> list[str]:
    """Return the symbols of the shapes, the batch first."""
    every = [symbol for spec in specs for dim in spec.shape for symbol in dims.names(dim)]
    firsts = [symbol for dim in first_symbols(specs) for symbol in dims.names(dim)]
    return list(dict.fromkeys([*firsts, *every]))


def batch_symbol(inputs: Sequence[Given]) -> str | None:
    """Return the symbol of the batch: the first one that is a first dim."""
    return next(iter(first_symbols([each.spec for each in inputs])), None)


def given_sizes(inputs: Sequence[Given]) -> dict[str, int]:
    """Return the sizes of the user's tensors."""
    sizes: dict[str, int] = {}
    for each in inputs:
        if each.value is not None:
            for dim, size in zip(each.spec.shape, each.value.shape, strict=True):
                if isinstance(dim, str):
                    sizes.setdefault(dim, size)
    return sizes


def _argument(each: Given, sizes: Sizes, integers: tuple[int, int], seed: int) -> Tensor:
    spec = each.spec.sized(sizes)
    shape = spec.concrete(1)
    if each.value is not None:
        return _resized(each.value, shape)
    if math.prod(shape) > LARGEST:
        raise ModelError(
            f"The input {spec.name!r} with the shape {shape} is too large for an example. Check "
            "its sizes."
        )
    return torch.from_numpy(spec.random(1, seed=seed, integers=integers))


def _resized(value: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the tensor with its axes repeated or cut to the shape."""
    for axis, size in enumerate(shape):
        if value.shape[axis] not in (size, 0):
            rows = torch.arange(size, device=value.device) % value.shape[axis]
            value = value.index_select(axis, rows)
    return value
