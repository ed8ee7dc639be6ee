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
        module: what is run, in eval mode; it is left as it was.
        feeds: its inputs: by the name of an argument (`features.a` is the entry of a dict), or by
            any other name, in the order of its arguments.
        output_names: names of what `forward` returns, in order.

    Raises:
        ModelError: `forward` fails, or returns something else than that many tensors, or one that
            numpy cannot hold.
    """
    arguments = {name: torch.from_numpy(np.array(value)) for name, value in feeds.items()}
    outputs = tensors(module, arguments)
    check_count(module, outputs, output_names)
    return {
        name: as_array(value, f"The output {name!r} of {type(module).__name__}")
        for name, value in zip(output_names, outputs.values(), strict=True)
    }


def as_array(value: Tensor, what: str) -> np.ndarray:
    """Return the tensor as an array; `what` it is begins the sentence if that cannot be.

    Raises:
        ModelError: numpy has no such tensors (bfloat16, sparse ones).
    """
    try:
        return value.numpy(force=True)
    except TypeError as error:
        raise ModelError(
            f"{what} is a tensor of {value.dtype} that numpy cannot hold ({first_line(error)}); "
            "make it a plain one of float32, or of another dtype that numpy has."
        ) from error


def tensors(module: nn.Module, arguments: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run `forward` on copies and return its tensors, by their place in what it returns.

    Raises:
        ModelError: `forward` fails, or returns something that is not made of tensors.
    """
    copies = {name: value.detach().clone() for name, value in arguments.items()}
    args, kwargs = bound(module, copies)
    with isolated(module):
        try:
            result = module(*args, **kwargs)
        except Exception as error:  # forward is the user's, and may raise anything
            seen = ", ".join(f"{value.dtype} {tuple(value.shape)}" for value in arguments.values())
            raise ModelError(
                f"{type(module).__name__} does not run on inputs of {seen}: {first_line(error)}. "
                "Correct INPUTS, or the module."
            ) from error
        # Copies: what is a view of a buffer is put back with it.
        return {
            name: value.clone() for name, value in returned(result, type(module).__name__).items()
        }


def returned(result: Any, who: str) -> dict[str, Tensor]:
    """Return the tensors in what `forward` of `who` returned, by their place in it.

    Raises:
        ModelError: there is none, or something else beside them.
    """
    found = list(flattened(result))
    wrong = next((value for _, value in found if not isinstance(value, Tensor)), None)
    if not found or wrong is not None:
        seen = type(result if wrong is None else wrong).__name__
        raise ModelError(
            f"{who} must return a tensor, or tuples, lists, dicts or dataclasses of tensors, but "
            f"there is a {seen} in what it returns; wrap it in a module that returns the tensors "
            "alone."
        )
    return {place or "0": value for place, value in found}


def check_count(module: nn.Module, found: Mapping, names: Sequence[str]) -> None:
    """Check that there is a name for each tensor that was found.

    Raises:
        ModelError: there are more, or fewer.
    """
    if len(found) != len(names):
        raise ModelError(
            f"{type(module).__name__} returns {len(found)} tensors, but {len(names)} output names "
            f"were given ({', '.join(names)}); give OUTPUTS one name for each, in order."
        )
