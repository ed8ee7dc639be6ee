"""Notebook 02 and what 01 records beside its stage, as the sample ran them; and 10, alone."""

import json

import numpy as np
import papermill
import pytest

from graphcore.golden import Case, save_golden
from nbhelpers import onnxgraph
from nbhelpers.workbook.plan import ROOT
from nbhelpers.workbook.run import CELL_TIMEOUT, KERNEL_TIMEOUT
from onnxgraph.comparing.activations import load_activations
from onnxgraph.comparing.layers import compare_layers
from onnxgraph.comparing.sources import OnnxSource
from onnxgraph.repairs import example
from tests.checkout import PYTHONPATH

# The first test waits for the six notebooks; a machine shared with others takes its time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

REPAIRS = ROOT / "notebooks" / "10_repairs.ipynb"
MXNET = ROOT / "tests" / "onnxgraph" / "data" / "mxnet"


@pytest.fixture(autouse=True)
def package(monkeypatch):
    """Let the kernel find this checkout's package."""
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)


def shown(path):
    """Return what an executed notebook shows: cell id to the text of its outputs."""
    cells = json.loads(path.read_text())["cells"]
    return {
        cell["id"]: "".join(
            "".join(output["data"]["text/plain"])
            for output in cell["outputs"]
            if "text/plain" in output.get("data", {})
        )
        for cell in cells
        if cell["cell_type"] == "code"
    }


def test_02_shows_every_kind_of_surgery_and_how_each_fails(sample):
    seen = shown(sample.folder / "notebooks" / "02_surgery.ipynb")
    for cell, words in {
        "block-text": "Relu act -- active --> Add join",
        "neighbours": "*Add join",
        "cost-run": "582 multiply-adds, 17 parameters",
        "edit-insert": "6 → 7 nodes (Mul 0 → 1)",
        "edit-differs": "scores: mismatch",
        "edit-undone": "largest relative difference: batch 1 0.0e+00",
        "edit-attempts": "node name: head",
        "cut-joined": "cut from 'pooled' to 'scores'",
        "toy-simplify": "round 1: 10 → 6 nodes by inferring shapes and folding constants, → 2 by",
        "fixed": "Input shape:{3,2,2}, requested shape:{1,4}",
        "dynamic-toy": "Concat 'y': zeros on axis 1 → Pad by 0 and 2",
        "fixed-and-free": "compared with reference 1",
        "lower-run": "LayerNormalization-17 → ReduceMean, Sub, Mul, Add, Sqrt, Div",
        "lower-refusal": "2 nodes stand in the way. 'sum' (CumSum-11): there is no such op",
        "solution-2": "Softmax",
        "have-files": "prepared.onnx",
    }.items():
        assert words in seen[cell], (cell, seen[cell])


def test_01_records_what_07_compares_with(sample):
    path = sample.folder / "debug" / "activations.npz"
    exported = sample.record()["stages"]["export"]["files"]["exported.onnx"]
    recorded = load_activations(path, made_for=exported["sha256"])
    computed = OnnxSource(sample.read("exported.onnx"))
    report = compare_layers(recorded, computed, recorded.feeds)
    assert report.ok and len(report.layers) > 40
    seen = shown(sample.folder / "notebooks" / "01_export.ipynb")
    assert "42 tensors in debug/activations.npz" in seen["record-run"]


def executed(copy, **parameters):
    """Run notebook 10 on its kernel and return what it shows."""
    papermill.execute_notebook(
        REPAIRS,
        copy,
        parameters={name: str(value) for name, value in parameters.items()},
        cwd=REPAIRS.parent,
        progress_bar=False,
        start_timeout=KERNEL_TIMEOUT,
        execution_timeout=CELL_TIMEOUT,
    )
    return shown(copy)


def test_10_repairs_each_example_and_what_mxnet_wrote(tmp_path):
    seen = executed(tmp_path / "10.ipynb", FOLDER=tmp_path / "made")
    for cell, words in {
        "gamma-wrong": "out: mismatch off by 2.71",
        "gamma-doubt": "only golden outputs can decide, so give cases",
        "gamma-repaired": "largest change of an output: 3.64",
        "flatten-broken": "First input does not have rank 2",
        "flatten-refusal": "takes 2 features, but its input has 32",
        "spatial-broken": "Invalid input scale",
        "pad-repaired": "count_include_pad 0 → 1",
        "dropout-removed": "two runs on the same input differ by up to 0.",
        "casts": "Shape 1 → 0",
        "images-wrong": "must have the shape (batch, 3, 8, 6)",
        "whole-repaired": "Flatten inserted before it, its input is 1 × 8 × 2 × 2",
        "own-repaired": "resnetv20_batchnorm0_fwd': gamma set to ones, largest change 0.215",
        "check-2": "with the best of 3 combinations of 2 nodes in doubt",
    }.items():
        assert words in seen[cell], (cell, seen[cell])
    assert seen["all-table"].count("does not run") == 2
    model = onnxgraph.load(tmp_path / "made" / "repaired.onnx")
    output = onnxgraph.outputs(model)[0].name
    with np.load(MXNET / "resnet18_v2_mxnet191.npz") as arrays:
        for n in (1, 2, 5):
            fed = {"data": arrays[f"input_{n}"].astype(np.float32) / 32}
            case = Case(f"batch {n}", fed, {output: arrays[f"output_{n}"]})
            (report,) = onnxgraph.check_cases(model, [case], tolerance=1e-6)
            assert report.ok, report


def test_10_repairs_a_file_of_ones_own(tmp_path):
    gluon = example("fix_gamma")
    file = tmp_path / "gluon.onnx"
    onnxgraph.save(gluon.model, file)
    golden = save_golden(tmp_path / "golden.npz", gluon.cases())
    folder = tmp_path / "made"
    seen = executed(tmp_path / "10.ipynb", FILE=file, GOLDEN=golden, FOLDER=folder)
    assert "BatchNormalization 'bn0': gamma set to ones" in seen["own-repaired"]
    repaired = onnxgraph.load(folder / "repaired.onnx")
    for report in onnxgraph.check_cases(repaired, gluon.cases(batches=(1, 2, 5)), tolerance=1e-6):
        assert report.ok, report
