"""A cell that moves may take as long as it needs; one in which nothing moves is given up."""

import io
import re

import pytest

from nbhelpers.workbook import NotebookFailed, Settings
from nbhelpers.workbook import progress as shown
from nbhelpers.workbook.plan import find_notebooks
from nbhelpers.workbook.progress import Progress
from nbhelpers.workbook.run import run_notebook

PRINTS = "import time\nfor n in range(6):\n    time.sleep(0.6)\n    print(n)\n"
STAGES = (
    "import time\nfrom graphcore.progress import stage\n"
    "with stage('training: epoch', 3) as epochs:\n"
    "    for n in 1, 2, 3:\n        epochs.reached(n)\n        time.sleep(2.7)\n"
)
DONE = 'with handoff.stage("export") as s:\n    s.write("exported.onnx").write_text("onnx")'


@pytest.fixture
def first(tiny, tmp_path):
    """Run the first notebook with some cell and limit; return what the console showed."""

    def run(cell, *, limit):
        settings = Settings(
            name="model", notebooks=tiny({"export": cell}), handoffs=tmp_path / "h"
        ).checked()
        settings.folder.mkdir(parents=True)
        console = io.StringIO()
        notebook = find_notebooks(settings.notebooks)[0]
        run_notebook(
            notebook,
            settings,
            settings.folder / "01.ipynb",
            progress=Progress(console),
            cell_timeout=limit,
        )
        return console.getvalue()

    return run


def test_a_cell_that_prints_may_take_longer_than_its_limit(first):
    assert "done" in first(PRINTS + DONE, limit=2)


def test_a_cell_in_which_nothing_moves_is_given_up(first, tmp_path):
    sentence = (
        r"stopped at cell \[4\]: it made no progress for 2 s: it printed nothing, .* by hand in"
    )
    with pytest.raises(NotebookFailed, match=sentence):
        first("import time\ntime.sleep(600)", limit=2)
    assert (tmp_path / "h/model/01.ipynb").exists()


def test_the_console_shows_epochs_and_a_cell_that_reaches_them_may_go_on(first, monkeypatch):
    monkeypatch.setattr(shown, "_EVERY", 0.0)
    lines = first(STAGES + DONE, limit=4).splitlines()
    epochs = [line for line in lines if "epoch" in line]
    assert epochs and all(line.startswith("01_export        train    ") for line in epochs)
    assert re.search(r"training: epoch [123]/3$", epochs[-1])
    assert lines[0].endswith("running") and "done" in lines[-1]


def test_a_terminal_shows_epochs_in_its_line(tiny):
    console = io.StringIO()
    console.isatty = lambda: True
    progress = Progress(console)
    progress.started(find_notebooks(tiny())[0])
    progress.cell(4, 9)
    progress.stage("training: epoch 1/3")
    progress.stage("")
    head = "\r\x1b[K01_export        train    cell 4 of 9"
    assert console.getvalue().endswith(f"{head}{head} · training: epoch 1/3{head}")
