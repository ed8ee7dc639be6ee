"""The verb: a file becomes a module, right or refused, and what came of it."""

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import fx

from nbhelpers import parity
from nbhelpers.errors import ConversionError, GraphError, ModelError, ParityError
from nbhelpers.onnxgraph import interface
from nbhelpers.onnxgraph.comparing.bisection import first_difference
from nbhelpers.onnxgraph.comparing.sources import OnnxSource, Recorded
from nbhelpers.onnxgraph.examples import Feeds, reference_runs
from nbhelpers.onnxgraph.run import check_feeds
from nbhelpers.progress import stage
from nbhelpers.spec import TensorSpec
from nbhelpers.train.forward import run_torch
from nbhelpers.train.importing.graph import build, values
from nbhelpers.train.importing.plan import Plan, plan
from nbhelpers.train.importing.prepare import prepared, read


@dataclass(frozen=True)
class Imported:
    """A module made of an ONNX file, and what is known of it.

    `module` takes the inputs and returns the outputs in ONNX order (a tensor, or a tuple of them).
    `weights` has the ONNX weight that each key of its state dict holds; `model` is the prepared
    ONNX file that it was made of; `reports` compare it with onnxruntime, `squared_error` is the
    largest mean squared error of an output.
    """

    module: fx.GraphModule = field(repr=False)
    model: onnx.ModelProto = field(repr=False)
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    weights: Mapping[str, str]
    reports: tuple[parity.Report, ...]
    squared_error: float
    changes: tuple[str, ...] = ()

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
        """Return the interface, the weights and the comparison, one a line."""
        count = sum(each.numel() for each in self.module.parameters())
        parts = sum(1 for _ in self.module.parameters())
        weights = "1 weight" if parts == 1 else f"{parts} weights"
        lines = [f"ImportedModel: {count:,} parameters in {weights}; {self.changes[0]}"]
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


def preflight_import(model: onnx.ModelProto | str | Path) -> Plan:
    """Return what stands in the way of importing a model: every node, with the reason.

    Raises:
        GraphError: the file is missing, cut short or no ONNX model.
    """
    return plan(prepared(read(model), simplify=False)[0])


@stage("importing")
def import_onnx(
    model: onnx.ModelProto | str | Path,
    *,
    simplify: bool = True,
    tolerance: float = parity.TOLERANCE,
) -> Imported:
    """Return a PyTorch module that computes what an ONNX model computes, and trains.

    The model is simplified first. The module is run against onnxruntime at batch 1 and 3 (1 alone
    if the batch is fixed), where other sizes are symbolic at even and odd ones, and handed out only
    if it agrees. Its weights are parameters; it is in eval mode.

    Args:
        model: a model, or the path of one.
        simplify: fold what is constant first; a graph of a few nodes has no need of it.
        tolerance: largest difference allowed, as a share of the largest value of each output.

    Raises:
        GraphError: the file is missing, cut short or no ONNX model, or cannot be run.
        ConversionError: nodes cannot become PyTorch; they are named, with the reasons.
        ParityError: the module computes something else; the first tensor that differs is named.
    """
    source = read(model)
    simpler, changes = prepared(source, simplify=simplify)
    module, weights = build(simpler, plan(simpler).check())
    reports, error = verified(source, simpler, module, tolerance)
    return Imported(
        module,
        simpler,
        interface.inputs(source),
        interface.outputs(source),
        weights,
        reports,
        error,
        changes,
    )


@stage("comparing with onnxruntime")
def verified(
    source: onnx.ModelProto, simpler: onnx.ModelProto, module: fx.GraphModule, tolerance: float
) -> tuple[tuple[parity.Report, ...], float]:
    """Return the comparison with onnxruntime for each batch, and the largest mean squared error.

    Raises:
        ConversionError: the module does not run.
        ParityError: something differs.
    """
    names = [spec.name for spec in interface.outputs(source)]
    reports, errors = [], [0.0]
    for batch, feeds, expected in reference_runs(source):
        try:
            seen = run_torch(module, feeds, names)
        except ModelError as error:
            raise ConversionError(
                f"The PyTorch module that was made does not run, and is not handed out: {error}"
            ) from error
        sizes = {axis for array in feeds.values() for axis in array.shape[2:]}
        title = f"batch {batch}" + (f" (sizes {'×'.join(map(str, sizes))})" if sizes else "")
        report = parity.compare(expected, seen, tolerance=tolerance, title=title)
        if not report.ok:
            raise ParityError(
                f"The PyTorch module does not compute what onnxruntime does, and is not handed "
                f"out.{_where(simpler, module, feeds)} {_said(report)}"
            )
        reports.append(report)
        errors += [_squared_error(expected[name], seen[name]) for name in names]
    return tuple(reports), max(errors)


def _said(report: parity.Report) -> str:
    try:
        report.check()
    except ParityError as error:
        return str(error)
    return ""


def _where(model: onnx.ModelProto, module: fx.GraphModule, feeds: Feeds) -> str:
    """Return a sentence on the first tensor that differs, if one can be told."""
    found = values(module, [torch.from_numpy(np.array(feed)) for feed in feeds.values()])
    try:
        difference = first_difference(OnnxSource(model), Recorded("PyTorch", feeds, found), feeds)
    except GraphError:
        return ""
    if difference is None:
        return ""
    layer = difference.layer
    return f" The first tensor that differs is {layer.name!r}, which {layer.op} makes."


def _squared_error(expected: np.ndarray, seen: np.ndarray) -> float:
    if not expected.size:
        return 0.0
    # Infinities and NaNs in the same places agree; the comparison has seen to that.
    both = np.nan_to_num(expected.astype(np.float64)), np.nan_to_num(seen.astype(np.float64))
    return float(np.mean((both[0] - both[1]) ** 2))
