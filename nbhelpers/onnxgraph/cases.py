"""Run golden cases through an ONNX model, and compare with what torch gave for them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx

from nbhelpers import parity
from nbhelpers.golden import Case
from nbhelpers.onnxgraph.run import Runner
from nbhelpers.progress import stage


@stage("running the golden cases")
def check_cases(
    model: onnx.ModelProto, cases: Iterable[Case], *, tolerance: float = parity.TOLERANCE
) -> tuple[parity.Report, ...]:
    """Return one report for each case, by onnxruntime against the recorded outputs.

    A model whose batch is fixed is run a few rows at a time where a case holds more of them; the
    title of the report then says so.
    """
    runner, reports = Runner(model), []
    for case in cases:
        block = _block(runner, case)
        title = f"{case.name} ({block} of {case.batch} rows at a time)" if block else case.name
        outputs = _run(runner, case, block)
        reports.append(parity.compare(case.outputs, outputs, tolerance=tolerance, title=title))
    return tuple(reports)


def run_case(model: onnx.ModelProto, case: Case) -> dict[str, np.ndarray]:
    """Return the model's outputs for one case, a few rows at a time if its batch is fixed."""
    runner = Runner(model)
    return _run(runner, case, _block(runner, case))


def accuracy(case: Case, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the share of right labels for each output whose true labels the case holds."""
    return {
        name: float((outputs[name].argmax(axis=1) == truth).mean())
        for name, truth in case.labels.items()
    }


def renamed_cases(cases: Iterable[Case], names: Mapping[str, str]) -> tuple[Case, ...]:
    """Return the cases with other names for inputs and outputs, as `rename` gives them to the
    model.
    """

    def other(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {names.get(name, name): value for name, value in arrays.items()}

    return tuple(
        Case(case.name, other(case.inputs), other(case.outputs), other(case.labels))
        for case in cases
    )


def _block(runner: Runner, case: Case) -> int:
    """Return the fixed batch that the case must be cut into, or 0 if it fits as it is."""
    sizes: Sequence = [spec.shape[0] for spec in runner.inputs if spec.shape]
    fixed = next((size for size in sizes if isinstance(size, int)), 0)
    return fixed if fixed and fixed != case.batch and case.batch % fixed == 0 else 0


def _run(runner: Runner, case: Case, block: int) -> dict[str, np.ndarray]:
    if not block:
        return runner.run(case.inputs)
    parts = [
        runner.run({name: value[first : first + block] for name, value in case.inputs.items()})
        for first in range(0, case.batch, block)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
