"""Export a module to ONNX by tracing, with the names and the opset that were asked for.

Tracing runs the module once and records what it did. Every Python decision made on the way is
frozen as it fell; torch warns about those it notices, and the warnings are kept.
"""

import contextlib
import io
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from nbhelpers.errors import ModelError, first_line
from nbhelpers.onnxgraph import files, interface
from nbhelpers.progress import stage
from nbhelpers.spec import TensorSpec
from nbhelpers.train.arguments import Input, first_run, input_specs
from nbhelpers.train.axes import following, symbols
from nbhelpers.train.forward import eval_mode

OPSETS = range(7, 21)
"""What torch's TorchScript exporter writes."""


def check_opset(opset: int) -> int:
    """Return the opset.

    Raises:
        ModelError: the exporter does not write it.
    """
    if opset not in OPSETS:
        raise ModelError(
            f"torch's tracing exporter writes opset {OPSETS[0]} to {OPSETS[-1]}, but {opset} was "
            "asked for."
        )
    return opset


@dataclass(frozen=True)
class Export:
    """The file that was written, and what is in it (read back, not assumed)."""

    path: Path
    opset_asked: int
    opset: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: int
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the interface, the opset and the warnings, one a line."""
        lines = [
            f"{self.path.name}: {self.nodes} nodes, opset {self.opset} (asked: {self.opset_asked})"
        ]
        lines.append(f"  inputs   {'  '.join(map(str, self.inputs))}")
        lines.append(f"  outputs  {'  '.join(map(str, self.outputs))}")
        lines += [f"  WARNING  {warning}" for warning in self.warnings]
        return "\n".join(lines)


@stage("tracing")
def export_onnx(
    module: nn.Module,
    inputs: Sequence[Input],
    path: str | Path,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset: int = 13,
    dynamic_batch: bool = True,
    symbol: str = "batch",
) -> Export:
    """Trace the module in eval mode and write it as an ONNX file.

    Args:
        module: what is exported; the mode it is in is put back.
        inputs: one for each argument of `forward`: an array or tensor to trace with, or a spec
            from which one is drawn. A spec keeps its symbols, and a first dim that is a number.
        path: where to write, in a folder that is made if need be; an older file is replaced at
            the very end.
        input_names: by default those of the specs, or of the arguments of `forward`.
        output_names: by default "output", or "output0", "output1" …, or the keys of a dict.
        opset: version of the operator set to write in.
        dynamic_batch: whether the batch is a symbol rather than a size. If not, arrays and tensors
            keep their sizes, and in specs the batch (the first symbol that is a first dim)
            becomes 1; other symbols stay.
        symbol: what the first dim of arrays and tensors is called; specs have their own symbols.
            An axis of an output has a symbol if it grows with the first dim of that symbol, for
            which the module is run once more.

    Raises:
        ModelError: the module does not run, cannot be traced, or the file has another opset.
        OSError: the file cannot be written.
    """
    check_opset(opset)
    inputs = list(inputs)
    specs = input_specs(module, inputs, names=input_names, dynamic=dynamic_batch, symbol=symbol)
    arguments, found = first_run(module, inputs, specs)
    names = list(output_names or _default_names(found))
    if len(names) != len(found):
        raise ModelError(
            f"{type(module).__name__} returns {len(found)} tensors, but {len(names)} output "
            "names were given."
        )
    axes = {spec.name: symbols(spec) for spec in specs}
    axes |= zip(names, following(module, specs, arguments, found).values(), strict=True)
    return _write(module, arguments, Path(path), [spec.name for spec in specs], names, axes, opset)


def _write(
    module: nn.Module,
    arguments: list[Tensor],
    path: Path,
    input_names: list[str],
    output_names: list[str],
    axes: dict[str, dict[int, str]],
    opset: int,
) -> Export:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that a full disk is noticed before the old file is touched.
    handle, temporary = tempfile.mkstemp(suffix=".onnx", prefix=".export-", dir=path.parent)
    os.close(handle)
    try:
        notes = _trace(module, arguments, temporary, input_names, output_names, axes, opset)
        model = files.load(temporary)
        written = interface.opset(model)
        if written != opset:
            raise ModelError(
                f"Opset {opset} was asked for, but torch wrote {written}; ask for {written}."
            )
        files.save(model, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return Export(
        path,
        opset,
        written,
        interface.inputs(model),
        interface.outputs(model),
        len(model.graph.node),
        notes,
    )


def _trace(
    module: nn.Module,
    arguments: list[Tensor],
    path: str,
    input_names: list[str],
    output_names: list[str],
    axes: dict[str, dict[int, str]],
    opset: int,
) -> tuple[str, ...]:
    """Call torch's exporter and return what it warned of; its own printing is kept off the
    screen.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(eval_mode(module))
        stack.enter_context(torch.no_grad())
        caught = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        stack.enter_context(_silent())
        try:
            torch.onnx.export(
                module,
                tuple(arguments),
                path,
                input_names=input_names,
                output_names=output_names,
                opset_version=opset,
                dynamic_axes={name: dims for name, dims in axes.items() if dims},
                dynamo=False,
            )
        except Exception as error:  # forward is the user's, and may raise anything
            raise ModelError(
                f"{type(module).__name__} runs, but cannot be traced for opset {opset}: "
                f"{first_line(error)}. Rewrite that part of forward with plain tensor operations, "
                "or ask for another OPSET."
            ) from error
    return _kept(caught)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep what is printed inside off the screen; torch prints graphs past Python's own streams."""
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


def _kept(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """Return what the exporter said about the model, once each, not about itself."""
    kinds = (torch.jit.TracerWarning, UserWarning)
    said = [
        f"{Path(each.filename).name}:{each.lineno}: {' '.join(str(each.message).split())}"
        for each in caught
        if issubclass(each.category, kinds) and not issubclass(each.category, DeprecationWarning)
    ]
    return tuple(dict.fromkeys(said))


def _default_names(found: dict[str, Tensor]) -> list[str]:
    if list(found) == ["0"]:
        return ["output"]
    return [f"output{name}" if name.isdigit() else name for name in found]
