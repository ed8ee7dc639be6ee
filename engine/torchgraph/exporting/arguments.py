"""The inputs that a module is exported with: a spec for each, and the tensor if one was given."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from graphcore.errors import ModelError
from graphcore.spec import TensorSpec
from onnxgraph.examples import examples
from torchgraph.modules.forward import as_array
from torchgraph.modules.structure import flattened, parameters

Leaf: TypeAlias = TensorSpec | Tensor | np.ndarray
Input: TypeAlias = Leaf | Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True)
class Given:
    """One input: its spec, the tensor to trace with (None if one is drawn), and its argument.

    The argument is written as in `structure`. If it is left out, it is the name of the spec.
    """

    spec: TensorSpec
    value: Tensor | None = None
    argument: str = ""

    @property
    def place(self) -> str:
        """The name under which `forward` takes it."""
        return self.argument or self.spec.name


def given_inputs(
    module: nn.Module,
    inputs: Sequence[Input] | Mapping[str, Input],
    *,
    names: Sequence[str] | None,
    dynamic: bool,
    symbol: str,
) -> list[Given]:
    """Return the inputs with the name of each.

    Args:
        module: the module that takes them.
        inputs: specs, tensors or arrays, or dicts and lists of them, whose entries are named by
            their place. A mapping contains the name of each.
        names: the default is the names of the specs, or of the arguments of `forward`.
        dynamic: whether the batch is a symbol. If not, the batch of the specs becomes 1.
        symbol: the first dim of arrays and tensors.

    Raises:
        ModelError: there are more or fewer names than inputs, two have the same name, or numpy
            lacks a dtype.
    """
    leaves = list(_leaves(module, inputs))
    if names is None:
        names = [name for name, _ in leaves]
    if len(names) != len(leaves):
        raise ModelError(f"{len(leaves)} inputs need as many names, but {len(names)} were given.")
    twice = next((name for name in names if list(names).count(name) > 1), None)
    if twice is not None:
        raise ModelError(f"Two inputs are named {twice!r}. Give each its own name.")
    specs = [each for _, each in leaves if isinstance(each, TensorSpec)]
    fixed = [] if dynamic else examples.first_symbols(specs)[:1]
    return [
        Given(replace(_of_one_row(each, fixed), name=name), argument=place)
        if isinstance(each, TensorSpec)
        else replace(_of_tensor(each, name, symbol if dynamic else None), argument=place)
        for (place, each), name in zip(leaves, names, strict=True)
    ]


def _leaves(
    module: nn.Module, inputs: Sequence[Input] | Mapping[str, Input]
) -> Iterator[tuple[str, Leaf]]:
    """Yield (name, leaf) of every input. Entries of dicts and lists are named by their place."""
    pairs: Iterable[tuple[str, Input]]
    pairs = inputs.items() if isinstance(inputs, Mapping) else _by_position(module, inputs)
    for name, each in pairs:
        if isinstance(each, TensorSpec):
            yield name, each
            continue
        for place, leaf in flattened(each, name):
            if not isinstance(leaf, TensorSpec | Tensor | np.ndarray | np.generic):
                raise ModelError(
                    f"The input {place!r} must be a tensor, an array or a TensorSpec, but it is a "
                    f"{type(leaf).__name__}."
                )
            yield place, leaf


def _by_position(module: nn.Module, inputs: Sequence[Input]) -> Iterator[tuple[str, Input]]:
    known = parameters(module)
    rest = [f"{each.name}." for each in known if each.kind is each.VAR_POSITIONAL]
    plain = [
        each.name for each in known if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    for number, each in enumerate(inputs):
        if isinstance(each, TensorSpec):
            yield each.name, each
        elif number < len(plain):
            yield plain[number], each
        elif rest:
            yield f"{rest[0]}{number - len(plain)}", each
        else:
            yield f"input{number}", each


def _of_one_row(spec: TensorSpec, batch: Sequence[str]) -> TensorSpec:
    return replace(spec, shape=tuple(1 if dim in batch else dim for dim in spec.shape))


def _of_tensor(each: Tensor | np.ndarray, name: str, symbol: str | None) -> Given:
    array = as_array(each, f"The input {name!r}") if isinstance(each, Tensor) else np.asarray(each)
    shape = (symbol, *array.shape[1:]) if symbol and array.ndim else array.shape
    value = each.detach() if isinstance(each, Tensor) else torch.from_numpy(np.array(each))
    return Given(TensorSpec(name, array.dtype.name, tuple(shape)), value)
