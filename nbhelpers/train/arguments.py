"""What a module is traced with: the specs of its inputs, and an argument for each that it takes."""

import contextlib
import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from nbhelpers.errors import ModelError
from nbhelpers.onnxgraph import examples
from nbhelpers.spec import TensorSpec
from nbhelpers.train.forward import as_array, tensors

Input: TypeAlias = TensorSpec | Tensor | np.ndarray


def input_specs(
    module: nn.Module,
    inputs: Sequence[Input],
    *,
    names: Sequence[str] | None,
    dynamic: bool,
    symbol: str,
) -> list[TensorSpec]:
    """Return a spec for each input.

    Args:
        module: what takes them.
        inputs: specs, tensors or arrays.
        names: by default those of the specs, or of the arguments of `forward`.
        dynamic: whether the batch is a symbol; if not, that of the specs becomes 1.
        symbol: the first dim of arrays and tensors.

    Raises:
        ModelError: there are more or fewer names than inputs, or numpy lacks a dtype.
    """
    if names is None:
        arguments = list(inspect.signature(module.forward).parameters)
        names = [
            each.name if isinstance(each, TensorSpec) else argument
            for each, argument in zip(inputs, arguments, strict=False)
        ]
    if len(names) != len(inputs):
        raise ModelError(f"{len(inputs)} inputs need as many names, but {len(names)} were given.")
    given = [each for each in inputs if isinstance(each, TensorSpec)]
    fixed = [] if dynamic else examples.first_symbols(given)[:1]
    return [
        replace(_of_one_row(each, fixed), name=name)
        if isinstance(each, TensorSpec)
        else _spec(each, name, symbol if dynamic else None)
        for each, name in zip(inputs, names, strict=True)
    ]


def first_run(
    module: nn.Module, inputs: Sequence[Input], specs: Sequence[TensorSpec]
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Return an argument for each input, and what the module returns for them.

    Tensors and arrays are taken as they were given, and seeded ones for the specs: of two rows, and
    of six where another symbol than the batch stands first, unless the module wants two there, too.

    Raises:
        ModelError: the module does not run.
    """
    if len(examples.first_symbols(specs)) > 1:
        with contextlib.suppress(ModelError):
            arguments = _arguments(inputs, specs, rows=6)
            return arguments, tensors(module, arguments)
    arguments = _arguments(inputs, specs)
    return arguments, tensors(module, arguments)


def _of_one_row(spec: TensorSpec, batch: Sequence[str]) -> TensorSpec:
    return replace(spec, shape=tuple(1 if dim in batch else dim for dim in spec.shape))


def _arguments(
    inputs: Sequence[Input], specs: Sequence[TensorSpec], *, rows: int | None = None
) -> list[Tensor]:
    # Two rows rather than one: with one, tracing may take the batch for a dim to broadcast.
    drawn = examples.feeds(specs, batch=2, rows=rows)
    return [
        torch.from_numpy(drawn[spec.name])
        if isinstance(each, TensorSpec)
        else (each.detach() if isinstance(each, Tensor) else torch.from_numpy(np.array(each)))
        for each, spec in zip(inputs, specs, strict=True)
    ]


def _spec(each: Tensor | np.ndarray, name: str, symbol: str | None) -> TensorSpec:
    array = as_array(each, f"The input {name!r}") if isinstance(each, Tensor) else np.asarray(each)
    shape = (symbol, *array.shape[1:]) if symbol and array.ndim else array.shape
    return TensorSpec(name, array.dtype.name, tuple(shape))
