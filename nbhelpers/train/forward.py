"""Run a module once: arrays in, arrays by name out, in eval mode and without gradients."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nbhelpers.errors import ModelError, first_line
from nbhelpers.onnxgraph import examples
from nbhelpers.spec import TensorSpec


@contextlib.contextmanager
def eval_mode(module: nn.Module) -> Iterator[nn.Module]:
    """Put every part of the module into eval mode, and each back into its own afterwards."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield module
    finally:
        for part, mode in modes.items():
            part.training = mode


def run_torch(
    module: nn.Module, feeds: Mapping[str, np.ndarray], output_names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return the module's outputs by name; the feeds are its arguments in order.

    Raises:
        ModelError: `forward` fails, or returns something else than that many tensors, or one that
            numpy cannot hold.
    """
    outputs = tensors(module, [torch.from_numpy(np.array(value)) for value in feeds.values()])
    _check_count(module, outputs, output_names)
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


def tensors(module: nn.Module, arguments: Sequence[Tensor]) -> dict[str, Tensor]:
    """Run `forward` and return its tensors; the names are those of a dict, or numbers.

    Raises:
        ModelError: `forward` fails, or returns something that is not made of tensors.
    """
    with eval_mode(module), torch.no_grad():
        try:
            result = module(*arguments)
        except Exception as error:  # forward is the user's, and may raise anything
            seen = ", ".join(f"{value.dtype} {tuple(value.shape)}" for value in arguments)
            raise ModelError(
                f"{type(module).__name__} does not run on inputs of {seen}: {first_line(error)}. "
                "Correct INPUTS, or the module."
            ) from error
    if isinstance(result, Tensor):
        return {"0": result}
    pairs: Iterable = result.items() if isinstance(result, Mapping) else ()
    if isinstance(result, (tuple, list)):
        pairs = enumerate(result)
    found = {str(name): value for name, value in pairs}
    wrong = next((value for value in found.values() if not isinstance(value, Tensor)), None)
    if not found or wrong is not None:
        seen = type(result if wrong is None else wrong).__name__
        raise ModelError(
            f"{type(module).__name__} must return a tensor, or a tuple, list or dict of tensors, "
            f"but there is a {seen} in what it returns; wrap it in a module that returns the "
            "tensors alone."
        )
    return found


def named_outputs(
    module: nn.Module, specs: Sequence[TensorSpec], output_names: Sequence[str]
) -> list[str]:
    """Return the names of the outputs, after checking their number on a seeded example.

    Without `output_names` they are the keys of a dict, or "output", or "output0", "output1" …
    """
    feeds = examples.feeds(specs, batch=1)
    found = tensors(module, [torch.from_numpy(value) for value in feeds.values()])
    if output_names:
        _check_count(module, found, output_names)
        return list(output_names)
    if all(name.isdigit() for name in found):
        return ["output"] if len(found) == 1 else [f"output{name}" for name in found]
    return list(found)


def _check_count(module: nn.Module, found: Mapping, names: Sequence[str]) -> None:
    if len(found) != len(names):
        raise ModelError(
            f"{type(module).__name__} returns {len(found)} tensors, but {len(names)} output names "
            f"were given ({', '.join(names)}); give OUTPUTS one name for each, in order."
        )
