"""Notebook 07, which is no stage: on the sample, with PyTorch's tensors beside it and without."""

import json
import subprocess

import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from nbhelpers.train import load_model, record_activations
from nbhelpers.workbook.plan import ROOT, interpreter
from nbhelpers.workbook.run import CELL_TIMEOUT, KERNEL_TIMEOUT
from tests.checkout import PYTHONPATH

# The first test waits for the six notebooks; a machine shared with others takes its time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

NOTEBOOK = ROOT / "notebooks" / "07_debugging.ipynb"


@pytest.fixture(autouse=True)
def package(monkeypatch):
    """Let the kernel find this checkout's package."""
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)


def executed(handoffs, copy):
    """Run the notebook on its kernel and return what it shows, cell by cell."""
    papermill.execute_notebook(
        NOTEBOOK,
        copy,
        parameters={"HANDOFFS": str(handoffs)},
        cwd=NOTEBOOK.parent,
        progress_bar=False,
        start_timeout=KERNEL_TIMEOUT,
        execution_timeout=CELL_TIMEOUT,
    )
    cells = json.loads(copy.read_text())["cells"]
    return {cell["id"]: json.dumps(cell.get("outputs"), ensure_ascii=False) for cell in cells}


def test_it_finds_every_fault_and_leaves_a_case_behind(copy_of, tmp_path):
    handoff = copy_of("export", "surgery", "conversion")
    before = (handoff.folder / "handoff.json").read_bytes()
    record_activations(
        load_model().module,
        handoff.read("exported.onnx"),
        handoff.golden()[0].inputs,
        path=handoff.folder / "debug" / "activations.npz",
    )
    shown = executed(handoff.folder.parent, tmp_path / "07.ipynb")
    assert "onnxruntime against PyTorch" in shown["torch-run"]
    assert "all agree (42 compared" in shown["torch-run"]
    assert "is the first tensor that differs" in shown["layout-found"]
    assert "every output agrees" in shown["yours-found"]
    assert (handoff.folder / "handoff.json").read_bytes() == before
    case = handoff.folder / "debug" / "first_difference"
    done = subprocess.run(
        [interpreter("convert"), "reproduce.py"], cwd=case, capture_output=True, timeout=300
    )
    assert done.returncode == 1, done.stderr


def test_without_a_conversion_it_names_the_notebook_to_run(copy_of, tmp_path):
    handoff = copy_of("export", "surgery")
    with pytest.raises(PapermillExecutionError, match=r"Run the notebook 03_conversion"):
        executed(handoff.folder.parent, tmp_path / "07.ipynb")
