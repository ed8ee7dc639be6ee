"""Real architectures of both exporters, converted for every target and run on its own runtime."""

import subprocess
import sys

import pytest

from nbhelpers.workbook.plan import ROOT, interpreter

pytestmark = [pytest.mark.slow, pytest.mark.legacy, pytest.mark.timeout(1800)]

FOLDER = ROOT / "benchmarks" / "architectures"
TARGETS = 4


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """File name → what became of it for each target, oldest last."""
    folder = tmp_path_factory.mktemp("architectures")
    exported = subprocess.run(
        [sys.executable, FOLDER / "export.py", folder, "own"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Error" not in exported.stdout, exported.stdout
    measured = subprocess.run(
        [interpreter("convert"), FOLDER / "measure.py", folder, "--only", "own"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.strip("| ").split(" | ") for line in measured.stdout.splitlines()]
    return {line[0]: line[-TARGETS:] for line in lines}


def test_both_exporters_files_are_there(rows):
    assert {name.partition(".")[2] for name in rows} == {"onnx", "dynamo.onnx"}
    assert len(rows) >= 22


def test_each_converts_for_every_target_and_agrees_there(rows):
    bad = {name: cells for name, cells in rows.items() if not all(map(agrees, cells))}
    assert not bad


def agrees(cell):
    try:
        return float(cell) <= 1e-4
    except ValueError:
        return False
