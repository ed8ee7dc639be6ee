"""Which axes of a module's outputs are as long as a symbol of its inputs.

One run cannot tell: an axis may be 2 because the batch is. So the module runs again with a longer
one, and the axes that grow with it are the symbol's.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nbhelpers.errors import ModelError
from nbhelpers.spec import TensorSpec
from nbhelpers.train.forward import tensors

Axes = dict[int, str]


def symbols(spec: TensorSpec) -> Axes:
    """Return the symbolic dims by axis."""
    return {axis: dim for axis, dim in enumerate(spec.shape) if isinstance(dim, str)}


def following(
    module: nn.Module,
    specs: Sequence[TensorSpec],
    arguments: Sequence[Tensor],
    found: Mapping[str, Tensor],
) -> dict[str, Axes]:
    """Return, for each output, the axes that follow the symbol of an input's first axis.

    Where the module does not run with another size of a symbol, the first axes of its size are
    taken for it.

    Args:
        module: what is run, once more for each of these symbols.
        specs: its inputs.
        arguments: what it was run on.
        found: what it returned for them.
    """
    axes: dict[str, Axes] = {name: {} for name in found}
    for symbol, size in _first_sizes(specs, arguments).items():
        longer, again = _run_longer(module, specs, arguments, symbol, size, found)
        for name, value in found.items():
            for axis, seen in enumerate(value.shape):
                grown = again[name].shape[axis] == longer if again else axis == 0
                if seen == size and grown:
                    axes[name].setdefault(axis, symbol)
    return axes


def _first_sizes(specs: Sequence[TensorSpec], arguments: Sequence[Tensor]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for spec, value in zip(specs, arguments, strict=True):
        if 0 in symbols(spec):
            sizes.setdefault(symbols(spec)[0], len(value))
    return sizes


def _run_longer(
    module: nn.Module,
    specs: Sequence[TensorSpec],
    arguments: Sequence[Tensor],
    symbol: str,
    size: int,
    found: Mapping[str, Tensor],
) -> tuple[int, dict[str, Tensor]]:
    """Return a larger size of the symbol and the outputs for it, or none if they cannot be had."""
    # Some modules take only multiples of another size.
    for longer in dict.fromkeys((size + 1, 2 * size)) if size else ():
        try:
            given = [
                _resized(value, symbols(spec), symbol, longer)
                for spec, value in zip(specs, arguments, strict=True)
            ]
            again = tensors(module, given)
        except (ModelError, RuntimeError):  # RuntimeError: a dtype that torch hardly knows
            continue
        if _ranks(again) == _ranks(found):
            return longer, again
    return size, {}


def _resized(value: Tensor, axes: Axes, symbol: str, size: int) -> Tensor:
    """Return the tensor with its axes of that symbol repeated or cut to the size."""
    for axis in (axis for axis, name in axes.items() if name == symbol):
        rows = torch.arange(size, device=value.device) % value.shape[axis]
        value = value.index_select(axis, rows)
    return value


def _ranks(found: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: value.ndim for name, value in found.items()}
