"""Files of both exporters at every opset: converted for every target, and right on its runtime."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphcore.targets import NAMES
from nbhelpers.workbook.plan import ROOT, interpreter

pytestmark = [pytest.mark.slow, pytest.mark.legacy, pytest.mark.timeout(900)]

HERE = Path(__file__).resolve().parent

PATHS = [str(ROOT), str(ROOT / "benchmarks" / "coverage")]

EXPORTERS = {f"script{opset}" for opset in (9, 11, 13, 15, 17)} | {"dynamo18", "dynamo25"}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """(file name, target) → the largest difference, or what went wrong."""
    folder = tmp_path_factory.mktemp("opsets")
    exported = subprocess.run(
        [sys.executable, HERE / "forms.py", folder], capture_output=True, text=True, check=True
    )
    assert not exported.stdout
    agreed = subprocess.run(
        [interpreter("convert"), HERE / "agree.py", folder],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)},
    )
    assert agreed.returncode == 0, agreed.stderr[-3000:]
    lines = [line.split(" ", 2) for line in agreed.stdout.splitlines()]
    return {(file, target): said for file, target, said in lines}


def test_every_exporter_and_opset_is_there_for_every_target(verdicts):
    assert {file.split(".")[1] for file, _ in verdicts} == EXPORTERS
    assert {target for _, target in verdicts} == set(NAMES)
    assert len(verdicts) == 36 * len(NAMES)


def test_each_file_is_right_on_every_runtime(verdicts):
    wrong = {key: said for key, said in verdicts.items() if not agrees(said)}
    assert not wrong


def agrees(said):
    try:
        return float(said) <= 1e-4
    except ValueError:
        return False
