"""00 on both kernels, its blanks, and the teacher's page, which must fit the notebooks."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from nbhelpers.workbook.exercises import NOTEBOOKS, for_learners
from nbhelpers.workbook.plan import ROOT
from tests.checkout import PYTHONPATH

PAGE = (NOTEBOOKS / "TEACHING.md").read_text(encoding="utf-8")
START = NOTEBOOKS / "00_start_here.ipynb"


def rows(heading):
    section = PAGE.split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def executed(book, kernel, **options):
    made = nbformat.reads(json.dumps(book), as_version=4)
    resources = {"metadata": {"path": str(NOTEBOOKS)}}
    client = NotebookClient(
        made, kernel_name=kernel, timeout=300, iopub_timeout=60, resources=resources, **options
    )
    return client.execute()


def by_nbmake(path, copy):
    """Run a copy of a notebook as `pytest --nbmake` does, on its own kernel, and return it."""
    shutil.copy(path, copy)
    options = ["--nbmake", "--overwrite", "--nbmake-timeout=300", "--quiet", copy.name]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=copy.parent,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return nbformat.read(copy, 4)


def outputs(book, kind):
    return {
        cell["id"]: output
        for cell in book["cells"]
        if cell["cell_type"] == "code"
        for output in cell["outputs"]
        if output["output_type"] == kind
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kernel", ["train", "convert"])
def test_00_runs_on_either_kernel_and_finds_everything(kernel, tmp_path):
    if kernel == "train":
        done = by_nbmake(START, tmp_path / "start.ipynb")
    else:
        done = executed(json.loads(START.read_text(encoding="utf-8")), kernel)
    shown = {name: output["data"] for name, output in outputs(done, "execute_result").items()}
    assert f"kernel {kernel} ·" in shown["require"]["text/plain"]
    table = shown["check-run"]["text/plain"]
    assert table.count("packages as pinned") == 2 and "make setup" not in table
    assert shown["check-said"]["text/plain"] == "'Ready.'"
    pictures = [name for name, data in shown.items() if "image/png" in data]
    assert pictures == [
        "padding-picture",
        "close-sums-picture",
        "close-faults-picture",
        "close-elementwise-picture",
    ]
    for path in NOTEBOOKS.glob("[0-9]*.ipynb"):
        assert path.stem in shown["map-table"]["text/plain"]


@pytest.mark.timeout(600)
def test_a_learners_copy_of_00_stops_at_its_exercises_and_nowhere_else():
    book = for_learners(json.loads(START.read_text(encoding="utf-8")), START.stem)
    done = executed(book, "train", allow_errors=True)
    wrong = {name: (one["ename"], one["evalue"]) for name, one in outputs(done, "error").items()}
    assert wrong == {
        "solution-1": ("AssertionError", "not solved yet: silent"),
        "solution-2": ("AssertionError", "not solved yet: shipped"),
    }


def test_what_the_teacher_breaks_stands_in_the_notebooks():
    found = rows("What to break live")
    assert len(found) >= 9
    for where, change, *_ in found:
        number = re.match(r"\d\d", where)
        if number is None:
            continue
        (path,) = NOTEBOOKS.glob(f"{number.group()}_*.ipynb")
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        for text in re.findall(r"`([^`]+)`", change.partition("→")[0]):
            assert text in code, (where, text)


def test_every_notebook_that_is_taught_has_its_answers():
    answered = [row[0] for row in rows("Answers")]
    taught = [row[2][:2] for row in rows("Order and time") if row[2][:2].isdigit()]
    assert answered == taught
    for number in answered:
        (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
        text = path.read_text(encoding="utf-8").split("## Recall", 1)[1]
        assert re.search(r'"5\. ', text) and not re.search(r'"6\. ', text.split('"id"')[0])


def test_the_blocks_are_of_twenty_to_thirty_minutes():
    minutes = [int(row[1]) for row in rows("Order and time") if row[0]]
    assert minutes and all(20 <= each <= 30 for each in minutes)


def test_the_pages_are_named_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "notebooks/TEACHING.md" in readme and "notebooks/RECEIVING.md" in readme
