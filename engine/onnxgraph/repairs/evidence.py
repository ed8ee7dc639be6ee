"""The evidence for a repair: golden outputs, or onnxruntime's complaint about the file."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import onnx

from graphcore import parity
from graphcore.errors import GraphError
from graphcore.golden import Case
from onnxgraph.editing.result import Edited
from onnxgraph.examples.cases import check_cases, run_case
from onnxgraph.examples.reference import reference_runs
from onnxgraph.model import interface

Reports = tuple[parity.Report, ...]


def unchanged(model: onnx.ModelProto, *reasons: str) -> Edited:
    """Return the model unchanged, with the reasons. It may be invalid, and is not checked."""
    return Edited(model, model, tuple(f"nothing repaired: {reason}" for reason in reasons))


def complaint(model: onnx.ModelProto) -> str:
    """Return onnxruntime's complaint about the model, or "" if it loads and runs."""
    try:
        interface.inputs(model)
        reference_runs(model, batches=(1,))
    except GraphError as error:
        return str(error.__cause__ or error)  # without the list of attempts
    return ""


def compared(
    model: onnx.ModelProto, cases: Sequence[Case], *, tolerance: float
) -> tuple[float, Reports]:
    """Return the largest relative difference from the golden outputs, and the reports.

    The difference is infinite if the model cannot be run or gives other shapes.
    """
    try:
        reports = check_cases(model, cases, tolerance=tolerance)
    except GraphError:
        return math.inf, ()
    worst = [report.worst for report in reports]
    return (math.inf if any(map(math.isnan, worst)) else max(worst)), reports


def largest_change(before: onnx.ModelProto, after: onnx.ModelProto, cases: Iterable[Case]) -> float:
    """Return the largest absolute change of an output, over all cases."""
    changes = [0.0]
    for case in cases:
        was, now = run_case(before, case), run_case(after, case)
        changes += [float(np.abs(now[name] - was[name]).max(initial=0)) for name in was]
    return max(changes)
