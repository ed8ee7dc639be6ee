"""Notebook 09, which is no stage: with a real TensorFlow 1.4 where it is installed."""

import json

import papermill
import pytest

from nbhelpers import onnxgraph
from nbhelpers.workbook.plan import ROOT
from nbhelpers.workbook.run import CELL_TIMEOUT, KERNEL_TIMEOUT
from tests.checkout import PYTHONPATH

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

NOTEBOOK = ROOT / "notebooks" / "09_tensorflow_to_onnx.ipynb"


def test_it_runs_and_leaves_a_file_that_says_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    papermill.execute_notebook(
        NOTEBOOK,
        tmp_path / "09.ipynb",
        parameters={"OUT": str(tmp_path / "out")},
        cwd=NOTEBOOK.parent,
        progress_bar=False,
        start_timeout=KERNEL_TIMEOUT,
        execution_timeout=CELL_TIMEOUT,
    )
    cells = json.loads((tmp_path / "09.ipynb").read_text())["cells"]
    shown = {cell["id"]: json.dumps(cell.get("outputs"), ensure_ascii=False) for cell in cells}
    assert "trained by TensorFlow" in shown["old-run"]
    assert "MatrixInverse" in shown["failure-run"]
    model = onnxgraph.load(tmp_path / "out" / "old.onnx")
    assert str(onnxgraph.inputs(model)[0]) == "images:float32:batch,3,16,16"
