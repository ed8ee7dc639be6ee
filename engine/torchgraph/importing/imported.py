"""Import a file as a module, right or refused, with the evidence."""

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from torch import fx

from graphcore import parity
from graphcore.progress import stage
from graphcore.spec import Feeds, TensorSpec
from onnxgraph.model import interface
from onnxgraph.model.entry_check import checked
from onnxgraph.running.run import check_feeds
from torchgraph.importing.graph import build
from torchgraph.importing.plan import Plan, plan
from torchgraph.importing.prepare import prepared, read
from torchgraph.importing.verifying import references, verified
from torchgraph.modules.forward import run_torch


@dataclass(frozen=True)
class Imported:
    """A module made from an ONNX file, and the evidence about it.

    `module` takes the inputs and returns the outputs in ONNX order (a tensor, or a tuple of them).
    `weights` maps each key of its state dict to its ONNX weight. `model` is the prepared ONNX file
    that it was made from. `reports` compare it with onnxruntime. `squared_error` is the largest
    mean squared error of an output. `examples` are the inputs that were given for the comparison.
    """

    module: fx.GraphModule = field(repr=False)
    model: onnx.ModelProto = field(repr=False)
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    weights: Mapping[str, str]
    reports: tuple[parity.Report, ...]
    squared_error: float
    changes: tuple[str, ...] = ()
    examples: tuple[Feeds, ...] = field(default=(), repr=False)

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in the order in which the module returns them."""
        return [spec.name for spec in self.outputs]

    def run(self, feeds: Mapping[str, np.ndarray]) -> Feeds:
        """Return the outputs by ONNX name, in eval mode and without gradients.

        Raises:
            UnknownName: there is no input of that name.
            GraphError: an array does not fit its input.
        """
        arrays = {name: np.asarray(value) for name, value in feeds.items()}
        check_feeds(self.inputs, arrays)
        ordered = {spec.name: arrays[spec.name] for spec in self.inputs}
        return run_torch(self.module, ordered, self.output_names)

    def __repr__(self) -> str:
        """Return the interface, the weights and the comparison, one per line."""
        count = sum(each.numel() for each in self.module.parameters())
        parts = sum(1 for _ in self.module.parameters())
        weights = "1 weight" if parts == 1 else f"{parts} weights"
        lines = [f"ImportedModel: {count:,} parameters in {weights}, {self.changes[0]}"]
        lines.append(f"  inputs   {'  '.join(map(str, self.inputs))}")
        lines.append(f"  outputs  {'  '.join(map(str, self.outputs))}")
        lines += [f"  {change}" for change in self.changes[1:]]
        if self.reports:
            seen = ", ".join(f"{each.title} {each.worst:.1e}" for each in self.reports)
            lines.append(f"  against onnxruntime, of the largest value: {seen}")
            lines.append(f"  mean squared error {self.squared_error:.1e}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


@checked
def preflight_import(model: onnx.ModelProto | str | Path) -> Plan:
    """Return everything that prevents the import of a model: each node, with the reason.

    Raises:
        GraphError: the file is missing, cut short or not an ONNX model.
    """
    return plan(prepared(read(model), simplify=False)[0])


@checked
@stage("importing")
def import_onnx(
    model: onnx.ModelProto | str | Path,
    *,
    simplify: bool = True,
    tolerance: float = parity.TOLERANCE,
    examples: Mapping[str, np.ndarray] | Iterable[Mapping[str, np.ndarray]] = (),
) -> Imported:
    """Return a PyTorch module that computes the same as an ONNX model, and can be trained.

    The model is simplified first. The module is compared with onnxruntime at batch 1 and 3 (only 1
    if the batch is fixed), with other symbolic sizes at even and odd values, and returned only if
    it agrees. Its weights are parameters. It is in eval mode.

    Args:
        model: a model, or its path.
        simplify: fold constants first. A graph of a few nodes does not need it.
        tolerance: the largest difference allowed, as a share of the largest value of each output.
        examples: inputs by name to compare on, for a model that does not accept seeded ones
            (integers 0 or 1, and any floats).

    Raises:
        UnknownName: an example is for an input that does not exist.
        GraphError: the file is missing, cut short or not an ONNX model, or cannot be run.
        ConversionError: some nodes cannot become PyTorch. They are named, with the reasons.
        ParityError: the module gives other results. The first tensor that differs is named.
    """
    source = read(model)
    simpler, changes = prepared(source, simplify=simplify)
    module, weights = build(simpler, plan(simpler).check())
    examples = (examples,) if isinstance(examples, Mapping) else tuple(examples)
    runs = references(source, examples)
    reports, error = verified(simpler, module, runs, tolerance=tolerance)
    return Imported(
        module,
        simpler,
        interface.inputs(source),
        interface.outputs(source),
        weights,
        reports,
        error,
        changes,
        tuple(feeds for _, feeds, _ in runs) if examples else (),
    )
