"""Fixtures for the tests of the notebooks and of their runner, run in the environment `th`."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pytest

from nbhelpers.handoff import NOTEBOOKS, Handoff
from nbhelpers.workbook import Settings, run
from nbhelpers.workbook.progress import Progress
from tests.checkout import PYTHONPATH

ROOT = Path(__file__).parents[2]

PARAMETERS = """
NAME: str = "none"  # the handoff
HANDOFFS: str = "nowhere"
TARGETS: list = ["tf2"]
"""

HEAD = """
from pathlib import Path
from nbhelpers.handoff import Handoff
handoff = Handoff(Path(HANDOFFS) / NAME)
"""

TINY = {
    "export": (
        "train",
        'with handoff.stage("export") as s:\n    s.write("exported.onnx").write_text("onnx")',
    ),
    "surgery": (
        "train",
        'text = handoff.read("exported.onnx").read_text()\n'
        'with handoff.stage("surgery") as s:\n    s.write("prepared.onnx").write_text(text * 2)',
    ),
    "conversion": (
        "convert",
        'text = handoff.read("prepared.onnx").read_text()\n'
        'with handoff.stage("conversion") as s:\n'
        "    for target in TARGETS:\n"
        '        s.write(f"graph/{target}/frozen.pb").write_text(text + target)',
    ),
    "names": ("convert", 'with handoff.stage("names") as s:\n    s.facts["n"] = 1'),
    "signature": ("convert", 'with handoff.stage("signature") as s:\n    s.facts["n"] = 1'),
    "handoff": (
        "convert",
        'with handoff.stage("handoff") as s:\n'
        '    proof = dict(artefact="graph/tf2/frozen.pb", runtime="TensorFlow 1.4.1")\n'
        '    proof.update(case="batch1", ok=True, relative=2e-6, labels_agree=True)\n'
        '    s.facts["proofs"] = [proof, {**proof, "runtime": "TensorFlow 2.21.0"}]\n'
        '    tried = dict(artefact="prepared.onnx", client="MNN 3", state="agrees")\n'
        '    wrong = {**tried, "artefact": "graph/tf2/frozen.pb", "state": "DIFFERS"}\n'
        '    absent = dict(artefact="", client="LiteRT", state="not installed")\n'
        '    s.facts["clients"] = [tried, wrong, absent]',
    ),
}
"""Stage to the kernel and the one cell of a notebook that does the stage without any model."""


@pytest.fixture
def tiny(tmp_path: Path):
    """Write six notebooks without any model into a folder.

    A test may replace some cells or kernels.
    """

    def write(
        cells: Mapping[str, str] | None = None, kernels: Mapping[str, str] | None = None
    ) -> Path:
        folder = tmp_path / "notebooks"
        folder.mkdir(exist_ok=True)
        for stage, (kernel, cell) in TINY.items():
            write_notebook(
                folder / f"{NOTEBOOKS[stage]}.ipynb",
                (kernels or {}).get(stage, kernel),
                (cells or {}).get(stage, cell),
            )
        return folder

    return write


def write_notebook(path: Path, kernel: str, cell: str) -> None:
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    book = nbformat.v4.new_notebook(metadata={"kernelspec": spec})
    parameters = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    text = nbformat.v4.new_markdown_cell("text")
    code = [nbformat.v4.new_code_cell(source) for source in (HEAD, cell)]
    book.cells = [text, parameters, *code]
    for number, one in enumerate(book.cells):
        one["id"] = f"cell-{number}"
    nbformat.write(book, path)


@pytest.fixture
def workbook():
    """Start `python -m nbhelpers.workbook` with arguments.

    The process is killed at the end of the test.
    """
    started: list[subprocess.Popen] = []

    def start(*arguments: object, **options: object) -> subprocess.Popen:
        # A shell makes its background processes ignore an interrupt, and children inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [sys.executable, "-m", "nbhelpers.workbook", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": PYTHONPATH},
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def outputs():
    """Return all outputs that an executed notebook shows, as one text."""

    def read(path: Path) -> str:
        return "\n".join(
            json.dumps(cell["outputs"])
            for cell in json.loads(path.read_text())["cells"]
            if cell["cell_type"] == "code"
        )

    return read


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Handoff:
    """The default sample, handed off by the six real notebooks.

    A test may read it, and must copy it to change it.
    """
    settings = Settings(handoffs=tmp_path_factory.mktemp("workbook") / "handoffs")
    return run(settings, progress=Progress(sys.stdout))


@pytest.fixture
def copy_of(sample: Handoff, tmp_path: Path):
    """Copy the files of some stages of the sample into a handoff of the test's own."""

    def make(*stages: str) -> Handoff:
        other = Handoff(tmp_path / "handoffs" / sample.name)
        other.folder.mkdir(parents=True)
        for file in ("handoff.json", *(name for stage in stages for name in sample.files(stage))):
            (other.folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(sample.folder / file, other.folder / file)
        return other

    return make
