"""Relations between symbols: one batch shared by several inputs, and sums of other symbols."""

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from graphcore.errors import ModelError
from torchgraph.exporting.arguments import Given
from torchgraph.exporting.runs import Sizes, batch_symbol, given_sizes, input_symbols, run_at


def with_sums(module: nn.Module, inputs: Sequence[Given]) -> list[Given]:
    """Return the inputs, with a symbol written as the sum of two others if it must be that sum.

    A decoder's mask, for example, is as long as past and new tokens together. A symbol of its own
    would promise sizes that the module does not accept.
    """
    others = [each for each in input_symbols(inputs) if each != batch_symbol(inputs)]
    apart = {symbol: 32 * 2**place for place, symbol in enumerate(input_symbols(inputs))}
    if len(others) < 3 or _takes(module, inputs, apart):
        return list(inputs)
    for whole in others:
        for terms in itertools.combinations([each for each in others if each != whole], 2):
            summed = [_renamed(each, whole, "+".join(terms)) for each in inputs]
            if _takes(module, summed, apart):
                return summed
    return list(inputs)


def with_one_batch(module: nn.Module, inputs: Sequence[Given]) -> list[Given]:
    """Return the inputs, with the batch symbol only on those that have the batch.

    If tensors have different first axes, the batch is on those that can become longer while the
    others stay the same.

    Raises:
        ModelError: running the module does not show which these are.
    """
    lengths = {
        each.spec.name: len(each.value)
        for each in inputs
        if each.value is not None and each.spec.shape and isinstance(each.spec.shape[0], str)
    }
    if len(set(lengths.values())) < 2:
        return list(inputs)
    found = []
    for length in dict.fromkeys(lengths.values()):
        others = {name for name, size in lengths.items() if size != length}
        some = [_fixed(each) if each.spec.name in others else each for each in inputs]
        with contextlib.suppress(ModelError):
            run_at(module, some, dict.fromkeys(input_symbols(some), length + 1))
            found.append(some)
    if len(found) == 1:
        return found[0]
    seen = ", ".join(f"{name!r} {size}" for name, size in lengths.items())
    raise ModelError(
        f"The first axes of the inputs have different sizes ({seen}), and running the module does "
        "not show which of them is the batch. Give a TensorSpec for each input, with symbols for "
        "dynamic sizes, or use dynamic_batch=False."
    )


def _takes(module: nn.Module, inputs: Sequence[Given], sizes: Sizes) -> bool:
    try:
        return bool(run_at(module, inputs, {**sizes, **given_sizes(inputs)}))
    except ModelError:
        return False


def _renamed(each: Given, symbol: str, dim: str) -> Given:
    shape = tuple(dim if old == symbol else old for old in each.spec.shape)
    return replace(each, spec=replace(each.spec, shape=shape))


def _fixed(each: Given) -> Given:
    assert each.value is not None
    return replace(each, spec=replace(each.spec, shape=tuple(each.value.shape)))
