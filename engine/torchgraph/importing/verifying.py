"""Compare an imported module with onnxruntime: on which inputs, how far off, from which tensor
on."""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import torch
from torch import fx

from graphcore import parity
from graphcore.errors import ConversionError, GraphError, ModelError, ParityError
from graphcore.progress import stage
from graphcore.spec import Feeds
from onnxgraph.comparing.bisection import first_difference
from onnxgraph.comparing.sources import OnnxSource, Recorded
from onnxgraph.examples.reference import reference_runs
from onnxgraph.model.precision import precisions
from onnxgraph.running.run import Runner
from torchgraph.importing.graph import values
from torchgraph.modules.forward import run_torch

Runs = list[tuple[int, Feeds, Feeds]]
"""Batch, inputs in order, and onnxruntime's results for them."""


def references(model: onnx.ModelProto, examples: Iterable[Mapping[str, np.ndarray]]) -> Runs:
    """Return onnxruntime's results for the examples, or for seeded inputs if there are none.

    Raises:
        UnknownName: an example is for an input that does not exist.
        GraphError: onnxruntime cannot run the model, or not on these inputs.
    """
    given = [{name: np.asarray(value) for name, value in feeds.items()} for feeds in examples]
    if not given:
        return reference_runs(model)
    runner, runs = Runner(model), []
    for feeds in given:
        expected = runner.run(feeds)
        ordered = {spec.name: feeds[spec.name] for spec in runner.inputs}
        batch = next((value.shape[0] for value in ordered.values() if value.ndim), 1)
        runs.append((batch, ordered, expected))
    return runs


@stage("comparing with onnxruntime")
def verified(
    model: onnx.ModelProto, module: fx.GraphModule, runs: Runs, *, tolerance: float
) -> tuple[tuple[parity.Report, ...], float]:
    """Return a report for each run, and the largest mean squared error of an output.

    Args:
        model: the model that the module was made from.
        module: the module.
        runs: inputs and expected results.
        tolerance: the largest difference allowed, as a share of the largest value of each output.

    Raises:
        ConversionError: the module does not run.
        ParityError: something differs.
    """
    reports, errors = [], [0.0]
    for batch, feeds, expected in runs:
        try:
            seen = run_torch(module, feeds, list(expected))
        except ModelError as error:
            raise ConversionError(
                f"The PyTorch module does not run, so it is not returned: {error}"
            ) from error
        sizes = dict.fromkeys(axis for array in feeds.values() for axis in array.shape[2:])
        title = f"batch {batch}" + (f" (sizes {'×'.join(map(str, sizes))})" if sizes else "")
        report = parity.compare(
            expected, seen, tolerance=tolerance, title=title, precisions=precisions(model)
        )
        if not report.ok:
            raise ParityError(
                f"The PyTorch module gives other results than onnxruntime, so it is not returned."
                f"{_where(model, module, feeds)} {_said(report)}"
            )
        reports.append(report)
        errors += [_squared_error(value, seen[name]) for name, value in expected.items()]
    return tuple(reports), max(errors)


def _said(report: parity.Report) -> str:
    try:
        report.check()
    except ParityError as error:
        return str(error)
    return ""


def _where(model: onnx.ModelProto, module: fx.GraphModule, feeds: Feeds) -> str:
    """Return a sentence on the first tensor that differs, if it can be found."""
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
    # Infinities and NaNs in the same places agree, as the comparison has checked.
    both = np.nan_to_num(expected.astype(np.float64)), np.nan_to_num(seen.astype(np.float64))
    return float(np.mean((both[0] - both[1]) ** 2))
