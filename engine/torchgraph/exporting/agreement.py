"""Compare an exported file with torch's results, at each size that the module was run at.

Tracing freezes everything that Python computes. If that depends on a size, the file is right at the
traced size and wrong at others. This is found here, and the message names the symbol, the first
tensor that differs, and torch's warnings.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from torch import nn

from graphcore import parity
from graphcore.errors import GraphError, ModelError, Refusal, first_line
from graphcore.golden import Arrays
from graphcore.progress import stage
from onnxgraph.model.anatomy import op_histogram
from onnxgraph.model.precision import precisions
from onnxgraph.model.random_ops import RANDOM_OPS
from onnxgraph.running.run import Runner
from torchgraph.exporting.runs import Run
from torchgraph.exporting.sizes import Runs
from torchgraph.modules.activations import record_activations
from torchgraph.modules.forward import as_array


class WrongFile(ModelError):
    """The file in this opset is wrong at every size. Another opset may be right."""


@stage("comparing with torch")
def check_agreement(
    module: nn.Module,
    path: str | Path,
    model: onnx.ModelProto,
    runs: Runs,
    names: Mapping[str, str],
    warnings: Sequence[str],
) -> tuple[str, ...]:
    """Return sentences about everything that could not be compared.

    Args:
        module: the exported module.
        path: the file.
        model: the file's content.
        runs: torch's results at several sizes.
        names: the name of each output, by its place in the module's returned value.
        warnings: torch's warnings while tracing.

    Raises:
        WrongFile: the file is not valid, or differs from torch at the traced sizes.
        ModelError: it differs at other sizes.
    """
    drawn = sorted(RANDOM_OPS & set(op_histogram(model)))
    if drawn:
        return (f"The file draws random numbers ({', '.join(drawn)}), so nothing was compared.",)
    who = type(module).__name__
    try:
        runner, halves = Runner(model), precisions(model)
        said = _difference(runner, runs.first, names, halves)
    except GraphError as error:
        _check_valid(who, model)
        return (f"The file was not compared with torch, because it could not be run: {error}",)
    if said:
        raise WrongFile(
            f"The file that torch wrote of {who} does not compute what {who} does, even at the "
            f"sizes it was traced with: {said}. {_warned(warnings).rstrip()}"
        )
    for symbol, further in runs.further.items():
        for run in further:
            said = _refusal(runner, run, names, halves)
            if said:
                where = _first_difference(module, path, model, run)
                raise ModelError(_frozen(who, symbol, runs.first, run, where or said, warnings))
    return ()


def _check_valid(who: str, model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise WrongFile(
            f"The file that torch wrote of {who} is not valid ONNX ({first_line(error)})."
        ) from error


def _frozen(who: str, symbol: str, first: Run, run: Run, said: str, warnings: Sequence[str]) -> str:
    traced, size = first.sizes[symbol], run.sizes[symbol]
    return (
        f"The file that torch wrote of {who} is right only where {symbol!r} is {traced}, as it "
        f"was while tracing: at {symbol} = {size}, {said}. {_warned(warnings)}There, forward uses "
        f"the size of {symbol!r}, or a value that depends on it, as a Python number. Compute with "
        "tensor operations (x.shape[1] unchanged, without float(), int(), len() or range()), or "
        f"write {traced} in place of {symbol!r} in INPUTS."
    )


def _warned(warnings: Sequence[str]) -> str:
    said = [each for each in warnings if "Python" in each or "trace" in each]
    if not said:
        return "torch gave no warning. "
    where = said[0].split(". ")[0]
    more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
    return f"torch warned at {where}{more}. "


def _refusal(runner: Runner, run: Run, names: Mapping[str, str], halves: Mapping[str, str]) -> str:
    try:
        return _difference(runner, run, names, halves)
    except GraphError as error:
        return f"it does not run ({str(error).rstrip('.')})"


def _difference(
    runner: Runner, run: Run, names: Mapping[str, str], halves: Mapping[str, str]
) -> str:
    """Return what differs between the file and torch, or "".

    Raises:
        GraphError: the file does not run.
    """
    seen = runner.run(_feeds(run))
    expected = {
        name: as_array(run.outputs[place], f"The output {name!r}")
        for place, name in names.items()
        if place in run.outputs
    }
    return _said(parity.compare(expected, seen, precisions=halves))


def _feeds(run: Run) -> Arrays:
    return {name: as_array(each, f"The input {name!r}") for name, each in run.arguments.items()}


def _said(report: parity.Report) -> str:
    bad = [row for row in report.rows if row.status != "ok"]
    return f"the output {bad[0].name!r} differs ({bad[0].status}: {bad[0].note})" if bad else ""


def _first_difference(module: nn.Module, path: str | Path, model: onnx.ModelProto, run: Run) -> str:
    """Return the first tensor that differs, as far as the parts of the module show it."""
    feeds = _feeds(run)
    with contextlib.suppress(Refusal, RuntimeError):
        recorded = record_activations(module, path, feeds)
        for name in recorded.names:
            try:
                seen = Runner(model, fetch=[name]).run(feeds)
            except GraphError as error:
                return f"it does not run up to {name!r} ({str(error).rstrip('.')})"
            report = parity.compare(recorded.tensors([name], {}), seen)
            if not report.ok:
                row = report.rows[0]
                return f"the first tensor that differs is {name!r} ({row.status}: {row.note})"
    return ""
