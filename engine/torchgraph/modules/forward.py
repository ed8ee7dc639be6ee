"""Run a module once: arrays in, arrays by name out, in eval mode and without gradients."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from graphcore.errors import ModelError, first_line
from torchgraph.modules.isolation import isolated
from torchgraph.modules.structure import bound, flattened


def run_torch(
    module: nn.Module, feeds: Mapping[str, np.ndarray], output_names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return the module's outputs by name.

    Args:
        module: the module to run, in eval mode. It is left unchanged.
        feeds: its inputs: by the name of an argument (`features.a` is the entry of a dict), or by
            any other name, in the order of its arguments.
        output_names: names of what `forward` returns, in order.

    Raises:
        ModelError: `forward` fails, returns another number of tensors or anything else, or returns
            a tensor that numpy cannot hold.
    """
    arguments = {name: torch.from_numpy(np.array(value)) for name, value in feeds.items()}
    outputs = tensors(module, arguments)
    check_count(module, outputs, output_names)
    return {
        name: as_array(value, f"The output {name!r} of {type(module).__name__}")
        for name, value in zip(output_names, outputs.values(), strict=True)
    }


def as_array(value: Tensor, what: str) -> np.ndarray:
    """Return the tensor as an array. `what` begins the message if that is impossible.

    Raises:
        ModelError: numpy has no such tensors, for example bfloat16 or sparse ones.
    """
    try:
        return value.numpy(force=True)
    except TypeError as error:
        raise ModelError(
            f"{what} is a tensor of {value.dtype} that numpy cannot hold ({first_line(error)}). "
            "Make it a plain tensor of float32, or of another dtype that numpy has."
        ) from error


def tensors(module: nn.Module, arguments: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run `forward` on copies and return its tensors, by their place in the returned value.

    Raises:
        ModelError: `forward` fails, or returns something other than tensors.
    """
    copies = {name: value.detach().clone() for name, value in arguments.items()}
    args, kwargs = bound(module, copies)
    with isolated(module):
        try:
            result = module(*args, **kwargs)
        except Exception as error:  # forward is the user's code and may raise anything
            seen = ", ".join(f"{value.dtype} {tuple(value.shape)}" for value in arguments.values())
            raise ModelError(
                f"{type(module).__name__} does not run on inputs of {seen}: {first_line(error)}. "
                "Correct INPUTS, or the module."
            ) from error
        # Copies, because a view of a buffer would be restored with the buffer.
        return {
            name: value.clone() for name, value in returned(result, type(module).__name__).items()
        }


def returned(result: Any, who: str) -> dict[str, Tensor]:
    """Return the tensors in the value that `forward` of `who` returned, by their place in it.

    Raises:
        ModelError: there are no tensors, or something else beside them.
    """
    found = list(flattened(result))
    wrong = next((value for _, value in found if not isinstance(value, Tensor)), None)
    if not found or wrong is not None:
        seen = type(result if wrong is None else wrong).__name__
        raise ModelError(
            f"{who} must return a tensor, or tuples, lists, dicts or dataclasses of tensors, but "
            f"what it returns contains a {seen}. Wrap it in a module that returns only the "
            "tensors."
        )
    return {place or "0": value for place, value in found}


def check_count(module: nn.Module, found: Mapping, names: Sequence[str]) -> None:
    """Check that every tensor found has a name.

    Raises:
        ModelError: there are more or fewer names.
    """
    if len(found) != len(names):
        raise ModelError(
            f"{type(module).__name__} returns {len(found)} tensors, but {len(names)} output names "
            f"were given ({', '.join(names)}). Give OUTPUTS one name for each, in order."
        )
