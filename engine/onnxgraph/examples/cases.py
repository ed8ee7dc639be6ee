"""Run golden cases through an ONNX model, and compare with torch's recorded results."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import onnx

from graphcore import parity
from graphcore.errors import GraphError
from graphcore.golden import Case
from graphcore.progress import stage
from onnxgraph.examples.examples import has_dynamic_batch
from onnxgraph.model.entry_check import checked
from onnxgraph.model.precision import precisions
from onnxgraph.running.run import Runner


@checked
@stage("running the golden cases")
def check_cases(
    model: onnx.ModelProto, cases: Iterable[Case], *, tolerance: float = parity.TOLERANCE
) -> tuple[parity.Report, ...]:
    """Return one report for each case: onnxruntime's results against the recorded outputs.

    If the model's batch is fixed and a case has more rows, it runs a few rows at a time, and the
    title of the report says so. Outputs that depend on half floats have the tolerance of half
    floats.

    Raises:
        GraphError: the model does not run on a case, or cannot run on a few rows of it, or has
            other fixed sizes than the case.
    """
    runner, halves, reports = Runner(model), precisions(model), []
    for case in cases:
        _check_sizes(runner, case)
        cut = _cut(runner, case)
        outputs = _run(runner, case, cut)
        title = f"{case.name} ({cut.block} of {cut.rows} rows at a time)" if cut else case.name
        reports.append(
            parity.compare(
                case.outputs, outputs, tolerance=tolerance, title=title, precisions=halves
            )
        )
    return tuple(reports)


@checked
def run_case(model: onnx.ModelProto, case: Case) -> dict[str, np.ndarray]:
    """Return the model's outputs for one case, a few rows at a time if its batch is fixed."""
    runner = Runner(model)
    return _run(runner, case, _cut(runner, case))


def accuracy(case: Case, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the share of right labels for each output whose true labels the case has."""
    return {
        name: float((outputs[name].argmax(axis=1) == truth).mean())
        for name, truth in case.labels.items()
    }


def renamed_cases(cases: Iterable[Case], names: Mapping[str, str]) -> tuple[Case, ...]:
    """Return the cases with other names for inputs and outputs, as `rename` gives them to a
    model."""

    def other(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {names.get(name, name): value for name, value in arrays.items()}

    return tuple(
        Case(case.name, other(case.inputs), other(case.outputs), other(case.labels))
        for case in cases
    )


def _check_sizes(runner: Runner, case: Case) -> None:
    """Check that the case has the model's fixed sizes, except for the batch."""
    for spec in runner.inputs:
        seen = np.shape(case.inputs.get(spec.name, ()))
        pairs = zip(spec.shape[1:], seen[1:], strict=False)
        if any(isinstance(want, int) and want != size for want, size in pairs):
            raise GraphError(
                f"The golden case {case.name!r} has the shape {seen} for the input {spec}, whose "
                "sizes are fixed. Record the cases at these sizes: run 01 with SIZES, which gives "
                "sizes to symbols, for example SIZES=time=32."
            )


class _Cut(NamedTuple):
    """How many rows of a case run at a time, and which inputs have rows."""

    block: int
    rows: int
    inputs: tuple[str, ...]


def _cut(runner: Runner, case: Case) -> _Cut | None:
    """Return how to cut a case for a fixed batch, or None to run it whole."""
    if has_dynamic_batch(runner.inputs):
        return None
    fixed = {spec.name: int(spec.shape[0]) for spec in runner.inputs if spec.shape}
    longer = {
        name: len(value)
        for name, value in case.inputs.items()
        if np.ndim(value) and len(value) != fixed.get(name, len(value))
    }
    name = next(iter(longer), None)
    if name is None or not fixed[name] or longer[name] % fixed[name]:
        return None
    rows = longer[name]
    return _Cut(fixed[name], rows, tuple(each for each in longer if longer[each] == rows))


def _run(runner: Runner, case: Case, cut: _Cut | None) -> dict[str, np.ndarray]:
    if cut is None:
        return runner.run(case.inputs)
    parts = []
    for first in range(0, cut.rows, cut.block):
        some = {name: case.inputs[name][first : first + cut.block] for name in cut.inputs}
        parts.append(runner.run({**case.inputs, **some}))
    return {name: _joined(name, [part[name] for part in parts], cut.block) for name in parts[0]}


def _joined(name: str, parts: list[np.ndarray], block: int) -> np.ndarray:
    """Return an output of several runs as one.

    Raises:
        GraphError: it is one number for all rows of a run, and differs between the runs.
    """
    if parts[0].ndim:
        return np.concatenate(parts)
    if any(not np.array_equal(part, parts[0], equal_nan=part.dtype != object) for part in parts):
        raise GraphError(
            f"The output {name!r} is one number for {block} rows, so its value for more rows is "
            f"unknown. Record a case of {block} rows, or make the batch dynamic."
        )
    return parts[0]
