"""onnx's own node cases, lowered as far as 9: right, or refused with a reason; never wrong."""

import collections

import numpy as np
import onnx
import pytest
from cases import load_cases

from graphcore.errors import GraphError
from nbhelpers.onnxgraph import opset, run_onnx
from onnxgraph.editing.finishing import finished
from onnxgraph.lowering import lowered

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # from the making of the cases
]

SETTINGS = frozenset(
    {
        *("K", "axes", "axis", "constant_value", "depth", "dft_length", "ends", "exponent", "k"),
        *("max", "min", "pads", "ratio", "repeats", "roi", "scales", "shape", "sizes", "split"),
        *("starts", "steps", "training_mode", "x_scale", "x_zero_point"),
        *("y_scale", "y_zero_point"),
    }
)
"""Inputs that are constants in any exported file, and inputs only in the suite."""

TO_REACH = {13: 720, 11: 950, 9: 820}
"""Cases that must be right for each opset; of the others most have types that came later."""

NOT_OF_ONNXRUNTIME = ("NOT_IMPLEMENTED", "Could not find an implementation", "does not load")


@pytest.fixture(scope="module")
def cases():
    return [case for case in load_cases() if case.suite == "node" and not case.excluded]


@pytest.mark.parametrize("target", [13, 11, 9])
def test_each_case_is_right_or_refused(target, cases):
    counts, wrong = collections.Counter(), []
    for case in cases:
        if opset(case.model) > target:
            said = judge(case, target)
            counts[said.partition(":")[0]] += 1
            if said.startswith("wrong"):
                wrong.append((case.name, said))
    assert not wrong
    assert counts["right"] >= TO_REACH[target], counts


def judge(case, target):
    model, data = frozen(case)
    try:
        low = finished(lowered(model, target)[0])
    except GraphError as error:
        known = "in the way" in str(error)
        return f"refused: {error}" if known else f"wrong: {error}"
    assert opset(low) == target
    for fed, expected in data:
        try:
            seen = run_onnx(low, fed)
        except GraphError as error:
            if runs(model, fed) and not any(text in str(error) for text in NOT_OF_ONNXRUNTIME):
                return f"wrong: {error}"
            return "not run"
        if not agree(case, expected, seen):
            was = run_onnx(model, fed) if runs(model, fed) else {}
            if not was or not agree(case, was, seen):
                return "wrong: the values differ"
            return "as onnxruntime has it"
    return "right"


def frozen(case):
    """Return the case's model and data with its settings as constants."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    names = [v.name for v in model.graph.input if v.name in SETTINGS]
    if len(case.data) > 1:
        names = []
    for fed, _ in case.data:
        for name in names:
            model.graph.initializer.append(onnx.numpy_helper.from_array(fed[name], name))
    kept = [value for value in model.graph.input if value.name not in names]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    data = [({k: v for k, v in fed.items() if k not in names}, want) for fed, want in case.data]
    return model, data


def runs(model, fed):
    try:
        run_onnx(model, fed)
    except GraphError:
        return False
    return True


def agree(case, expected, seen):
    return all(
        np.shape(seen[name]) == want.shape
        and seen[name].dtype == want.dtype
        and np.allclose(
            seen[name].astype(float),
            want.astype(float),
            rtol=case.rtol,
            atol=max(case.atol, 1e-5),
            equal_nan=True,
        )
        if want.dtype.kind in "fiubV"  # V: bfloat16 and other floats that numpy does not know
        else np.array_equal(seen[name], want)
        for name, want in expected.items()
    )
