"""Call torch's tracing exporter with tensors in and tensors out, for any signature of `forward`.

The exporter itself knows only positional tensors. So a `_Flat` module wraps the user's. It has the
same parts, so that nodes and weights keep their names.
"""

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphcore.errors import ModelError, first_line
from graphcore.writing import is_about
from torchgraph.exporting.decomposition import decomposed
from torchgraph.modules.forward import returned
from torchgraph.modules.isolation import isolated
from torchgraph.modules.structure import bound


class Untraceable(ModelError):
    """torch's exporter cannot write the module in this opset."""


def trace(
    module: nn.Module,
    arguments: Mapping[str, Tensor],
    path: str | Path,
    *,
    places: Sequence[str],
    output_names: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
    opset: int,
) -> tuple[str, ...]:
    """Write the module as an ONNX file, and return torch's warnings.

    Everything that is printed inside is kept off the screen.

    Args:
        module: the module to trace. It is left unchanged.
        arguments: its inputs by name, in the order of the file.
        path: where to write.
        places: the argument of `forward` for each input.
        output_names: a name for each tensor that it returns.
        axes: the names of dims, by input or output and axis.
        opset: the version of the operator set to write.

    Raises:
        Untraceable: torch cannot trace it, at all or for that opset.
        OSError: the file cannot be written.
    """
    module = getattr(module, "_orig_mod", module)  # the module given to torch.compile
    copies = {name: value.detach().clone() for name, value in arguments.items()}
    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(isolated(module))
        caught = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        stack.enter_context(_silent())
        stack.enter_context(_fixed_ranks(opset, notes))
        stack.enter_context(decomposed(module, opset))
        try:
            torch.onnx.export(
                _flat(module, places, list(copies.values())),
                tuple(copies.values()),
                str(path),
                input_names=list(copies),
                output_names=list(output_names),
                opset_version=opset,
                dynamic_axes={name: dict(dims) for name, dims in axes.items() if dims},
                dynamo=False,
            )
        except Exception as error:  # forward is the user's code and may raise anything
            if isinstance(error, OSError) and is_about(error, Path(path).parent):
                raise
            said = first_line(error).partition(" Support for this operator was added")[0]
            raise Untraceable(
                f"{type(module).__name__} runs, but cannot be traced for opset {opset}: "
                f"{said.rstrip('.')}."
            ) from error
    return tuple(dict.fromkeys([*_kept(caught), *notes]))


class _Flat(nn.Module):
    """Takes tensors in order, and returns a tuple of the tensors that the user's module returns."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        """Share the parts of the module, so that their paths stay."""
        super().__init__()
        if isinstance(module, torch.jit.ScriptModule):
            self.module = module
        else:
            self._modules, self._buffers = module._modules, module._buffers
            self._parameters = module._parameters
        # Not an attribute, which would make it one more part.
        self.__dict__["_call"] = lambda values: _called(
            module, dict(zip(names, values, strict=True))
        )
        self.eval()

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors in the module's result."""
        return tuple(self.__dict__["_call"](values))


def _called(module: nn.Module, values: Mapping[str, Tensor]) -> list[Tensor]:
    args, kwargs = bound(module, values)
    return list(returned(module(*args, **kwargs), type(module).__name__).values())


def _flat(module: nn.Module, places: Sequence[str], values: Sequence[Tensor]) -> nn.Module:
    flat = _Flat(module, places)
    if not any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        return flat
    # The exporter's own tracer refuses scripted parts. torch.jit's accepts them, except frozen
    # ones.
    try:
        return torch.jit.trace(flat, tuple(values), check_trace=False)
    except RuntimeError:
        if not isinstance(module, torch.jit.ScriptModule):
            raise
        return module


@contextlib.contextmanager
def _fixed_ranks(opset: int, notes: list[str]) -> Iterator[None]:
    """Let `squeeze` remove the same axes as while tracing, at every size.

    torch writes an If with two ranks if the size is a symbol, and nothing downstream can use that.
    """

    def squeeze(g: Any, value: Any, dim: Any = None) -> Any:
        node = g.original_node
        dims = _dims(node)
        if dims is None:
            return g.op("Squeeze", value)
        dropped = _dropped(node, dims)
        rank = next(iter(node.inputs())).type().dim()
        kept = [each for each in sorted({each % rank for each in dims}) if each not in dropped]
        sizes = value.type().varyingSizes() or [None] * rank
        free = [each for each in kept if sizes[each] is None]
        notes.extend(
            f"squeeze of axis {each}, whose size is a symbol: torch removes the axis if the size "
            "is 1, but the file keeps it at every size."
            for each in free
        )
        if not dropped:
            return g.op("Identity", value)
        if opset < 13:
            return g.op("Squeeze", value, axes_i=dropped)
        return g.op("Squeeze", value, g.op("Constant", value_t=torch.tensor(dropped)))

    torch.onnx.register_custom_op_symbolic("aten::squeeze", squeeze, opset)
    try:
        yield
    finally:
        torch.onnx.unregister_custom_op_symbolic("aten::squeeze", opset)


def _dropped(node: Any, dims: Iterable[int]) -> list[int]:
    """Return the axes that a squeeze removed while tracing."""
    given, made = next(iter(node.inputs())).type(), node.output().type()
    sizes = given.varyingSizes()
    asked = sorted({each % given.dim() for each in dims})
    ones = [each for each in asked if sizes[each] == 1]
    unknown = [each for each in asked if sizes[each] is None]  # symbols of the file's inputs
    return sorted([*ones, *unknown]) if given.dim() - made.dim() > len(ones) else ones


def _dims(node: Any) -> list[int] | None:
    """Return the axes that a squeeze names, or None if it names none."""
    given = list(node.inputs())[1:]
    if not given:
        return None
    found = given[0].toIValue()
    return [int(found)] if isinstance(found, int | Tensor) else found


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep prints off the screen. torch prints graphs without using Python's own streams."""
    sys.stdout.flush()
    screen, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        os.dup2(screen, 1)
        os.close(screen)
        os.close(nowhere)


def _kept(caught: list[warnings.WarningMessage]) -> list[str]:
    """Return the exporter's warnings about the model, without those about itself."""
    kinds = (torch.jit.TracerWarning, UserWarning)
    return [
        f"{Path(each.filename).name}:{each.lineno}: {' '.join(str(each.message).split())}"
        for each in caught
        if issubclass(each.category, kinds)
        and not issubclass(each.category, DeprecationWarning)
        and "no signature found" not in str(each.message)  # about a script, with an address in it
    ]
