"""Export a module to ONNX by tracing, with the requested names and opset.

Tracing runs the module once and records its operations. Every decision that Python takes on the way
is frozen. torch warns about those it notices, and the warnings are kept. A frozen size is found by
running the file at other sizes, and such a file is refused.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from graphcore.errors import GraphError, ModelError
from graphcore.progress import stage
from graphcore.spec import TensorSpec
from graphcore.writing import writing
from onnxgraph.model import files, interface
from torchgraph.exporting.agreement import WrongFile, check_agreement
from torchgraph.exporting.arguments import Input, given_inputs
from torchgraph.exporting.axes import Axes, following, symbolic_axes
from torchgraph.exporting.relations import with_one_batch, with_sums
from torchgraph.exporting.sizes import Runs, run_at_sizes
from torchgraph.exporting.tracing import Untraceable, trace
from torchgraph.modules.forward import check_count
from torchgraph.modules.structure import output_names as default_names

OPSETS = range(7, 21)
"""The opsets that torch's TorchScript exporter writes."""


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
    """The written file, its content (read back, not assumed), and the sizes of each symbol at which
    it was compared with torch.
    """

    path: Path
    opset_asked: int
    opset: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: int
    warnings: tuple[str, ...] = ()
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the interface, the opset and the warnings, one a line."""
        lines = [
            f"{self.path.name}: {self.nodes} nodes, opset {self.opset} (asked: {self.opset_asked})"
        ]
        lines.append(f"  inputs   {'  '.join(map(str, self.inputs))}")
        lines.append(f"  outputs  {'  '.join(map(str, self.outputs))}")
        sizes = (f"{name} {', '.join(map(str, each))}" for name, each in self.sizes.items())
        if self.sizes:
            lines.append(f"  compared with torch at {'; '.join(sizes)}")
        lines += [f"  WARNING  {warning}" for warning in self.warnings]
        return "\n".join(lines)


@stage("tracing")
def export_onnx(
    module: nn.Module,
    inputs: Sequence[Input] | Mapping[str, Input],
    path: str | Path,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset: int = 13,
    dynamic_batch: bool = True,
    symbol: str = "batch",
    sizes: Mapping[str, Sequence[int]] | None = None,
) -> Export:
    """Trace the module in eval mode, write it as an ONNX file, and compare it with torch.

    The module, its tensors and the examples are left unchanged. The module runs at one size of all
    symbols and at two more of each, and the file must give the same results there.

    Args:
        module: the module to export. Scripted and traced ones are accepted.
        inputs: one for each argument of `forward`: an array or tensor to trace with, a spec from
            which one is drawn, or dicts and lists of them. A spec keeps its symbols, and a first
            dim that is a number. A mapping contains the name of each input. A name that is an
            argument of `forward` is that argument, `features.a` is the entry of a dict, `xs.0` the
            entry of a list. Other names are labels, in the order of the arguments.
        path: where to write. Its folder is created. An older file is replaced at the very end.
        input_names: the default is the names of the specs, or of the arguments of `forward`.
        output_names: the default is "output", or "output0", "output1" …, or the keys of a dict, or
            the fields of a dataclass. A result of None is left out.
        opset: the version of the operator set to write.
        dynamic_batch: whether the batch is a symbol rather than a size. If not, arrays and tensors
            keep their sizes, and in specs the batch (the first symbol that is a first dim) becomes
            1. Other symbols stay.
        symbol: the name of the first dim of arrays and tensors. Specs have their own symbols. An
            axis of an output gets a symbol if it is as long as that symbol in every run.
        sizes: for a symbol, the sizes to run the module at, if it accepts few.

    Raises:
        ModelError: the module does not run, cannot be traced, the file has another opset, or its
            results differ from torch's.
        GraphError: the file cannot be written.
    """
    check_opset(opset)
    given = given_inputs(module, inputs, names=input_names, dynamic=dynamic_batch, symbol=symbol)
    given = with_sums(module, with_one_batch(module, given))
    specs = [each.spec for each in given]
    runs = run_at_sizes(module, given, sizes=sizes)
    names = list(output_names or default_names(runs.first.outputs))
    check_count(module, runs.first.outputs, names)
    _check_names([spec.name for spec in specs], names)
    places = [each.place for each in given]
    with writing(path, error=GraphError):
        return _write(module, runs, Path(path), specs, places, names, opset)


def _check_names(inputs: Sequence[str], outputs: Sequence[str]) -> None:
    for name in outputs:
        if name in inputs:
            raise ModelError(
                f"{name!r} names both an input and an output, but a file can hold only one tensor "
                "of a name. Give the outputs other names (OUTPUTS, output_names), in order."
            )
        if list(outputs).count(name) > 1:
            raise ModelError(f"Two outputs are named {name!r}. Give each its own name.")


def _write(
    module: nn.Module,
    runs: Runs,
    path: Path,
    specs: Sequence[TensorSpec],
    places: Sequence[str],
    names: Sequence[str],
    opset: int,
) -> Export:
    path.parent.mkdir(parents=True, exist_ok=True)
    outputs = dict(zip(runs.first.outputs, names, strict=True))
    axes: dict[str, Axes] = {spec.name: symbolic_axes(spec) for spec in specs}
    axes |= following(runs, specs, outputs)
    # Written beside the target, so that a full disk is noticed before the old file is replaced.
    handle, temporary = tempfile.mkstemp(suffix=".onnx", prefix=".export-", dir=path.parent)
    os.close(handle)
    try:

        def compared(other: int) -> tuple[onnx.ModelProto, tuple[str, ...]]:
            notes = trace(
                module,
                runs.first.arguments,
                temporary,
                places=places,
                output_names=names,
                axes=axes,
                opset=other,
            )
            model = files.load(temporary)
            written = interface.opset(model)
            if written != other:
                raise ModelError(
                    f"Opset {other} was asked for, but torch wrote {written}. Ask for {written}."
                )
            _keep_interface(model, specs, axes, names)
            said = check_agreement(module, temporary, model, runs, outputs, notes)
            return model, notes + said

        try:
            model, notes = compared(opset)
        except (Untraceable, WrongFile) as error:
            raise type(error)(f"{error} {_advice(error, compared, opset)}") from error
        files.save(model, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return Export(
        path,
        opset,
        interface.opset(model),
        interface.inputs(model),
        interface.outputs(model),
        len(model.graph.node),
        notes + runs.single(),
        runs.seen(),
    )


def _advice(error: ModelError, compared: Callable[[int], object], opset: int) -> str:
    """Return what to do if one opset fails: use another one that was tried, or rewrite the
    module."""
    advice = "Rewrite that part of forward with plain tensor operations"
    exporter = isinstance(error.__cause__, torch.onnx.errors.OnnxExporterError)
    if not exporter and isinstance(error, Untraceable):
        return f"{advice}."
    for other in (*range(opset + 1, OPSETS[-1] + 1), *range(opset - 1, OPSETS[0] - 1, -1)):
        try:
            compared(other)
        except (Untraceable, WrongFile, GraphError):
            continue
        except ModelError:
            pass  # wrong in a way that no opset repairs, which its own message says
        return f"OPSET={other} has what it needs."
    return f"{advice}, because no other opset has what it needs."


def _keep_interface(
    model: onnx.ModelProto,
    specs: Sequence[TensorSpec],
    axes: Mapping[str, Axes],
    names: Sequence[str],
) -> None:
    """Restore the inputs that no node reads, which torch leaves out, and the names of dims."""
    read = {value.name: value for value in model.graph.input}
    made = [value.name for value in model.graph.output]
    if not set(read) <= {spec.name for spec in specs} or made != list(names):
        raise ModelError(
            f"torch wrote the inputs {', '.join(read)} and the outputs {', '.join(made)}, because "
            "a name is already used inside the module. Give the inputs and outputs other names."
        )
    inputs = [read.get(spec.name) or _value(spec) for spec in specs]
    kept = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in inputs]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    for value in (*model.graph.input, *model.graph.output):
        for axis, label in axes[value.name].items():
            value.type.tensor_type.shape.dim[axis].dim_param = label


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    return onnx.helper.make_tensor_value_info(spec.name, kind, spec.shape)
