"""The six notebooks, each on its own kernel, for the default sample, and how they fail."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from graphcore.targets import LEGACY
from nbhelpers.handoff import NOTEBOOKS, Handoff
from nbhelpers.workbook import NotebookFailed, Settings, run
from nbhelpers.workbook.plan import ROOT, find_notebooks, interpreter
from nbhelpers.workbook.progress import Progress
from nbhelpers.workbook.run import run_notebook
from nbhelpers.workbook.summary import summary

# The first test waits for the six notebooks; a machine shared with others takes its time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

TARGETS = ("tf1.4", "tf2")
MEASURED = {"report.html", "SHA256SUMS"}
"""What holds latencies: two runs never measure the same."""


def recorded(handoff):
    stages = handoff.record()["stages"].values()
    return {name: seen for entry in stages for name, seen in entry["files"].items()}


def artefacts(handoff):
    files = recorded(handoff).items()
    return {name: seen["sha256"] for name, seen in files if name not in MEASURED}


def proofs(handoff):
    return handoff.require("handoff")["facts"]["proofs"]


@pytest.mark.parametrize("title", NOTEBOOKS.values())
def test_every_cell_ran_on_the_kernel_that_the_notebook_names(sample, title):
    executed = json.loads((sample.folder / "notebooks" / f"{title}.ipynb").read_text())
    code = [cell for cell in executed["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    kinds = {output["output_type"] for cell in code for output in cell["outputs"]}
    assert "error" not in kinds
    name = executed["metadata"]["kernelspec"]["name"]
    assert f"kernel {name} · Python 3.11" in json.dumps(code[0]["outputs"], ensure_ascii=False)


@pytest.mark.parametrize("title", NOTEBOOKS.values())
def test_no_notebook_shows_a_picture_that_is_only_its_repr(sample, title):
    text = (sample.folder / "notebooks" / f"{title}.ipynb").read_text()
    assert "<Figure size" not in text.replace('"text/plain"', "") or "image/png" in text


def test_nothing_in_the_folder_tells_where_it_was_made(sample):
    here = (ROOT, sample.folder.parent, Path.home(), tempfile.gettempdir(), sys.prefix)
    places = {*map(str, here), "/home/", "/Users/"}
    for path in sample.folder.rglob("*"):
        if path.suffix in (".ipynb", ".json", ".html", ".py", ".pbtxt"):
            text = path.read_text(encoding="utf-8")
            assert [place for place in places if place in text] == [], path


def test_every_stage_is_done_and_wrote_its_files(sample):
    assert [status.state for status in sample.status()] == ["done"] * 6
    files = recorded(sample)
    expected = ["exported.onnx", "golden.npz", "prepared.onnx", "verify.py", "report.html"]
    for target in TARGETS:
        expected += [f"graph/{target}/frozen.pb", f"savedmodel/{target}/1/saved_model.pb"]
    assert not [name for name in [*expected, "SHA256SUMS"] if name not in files]
    assert any(name.endswith("names.json") for name in files)
    assert any(name.endswith("config.pbtxt") for name in files)


def test_two_batch_sizes_were_recorded_and_every_step_agrees(sample):
    assert {1, 3} <= {case.batch for case in sample.golden()}
    reports = {
        stage: entry["parity"]
        for stage, entry in sample.record()["stages"].items()
        if entry["parity"]
    }
    assert {"export", "surgery", "conversion"} <= set(reports)
    for parity in reports.values():
        for report in parity:
            assert report["ok"] and report["rows"] and report["tolerance"] <= 1e-4, report["title"]


def test_every_artefact_is_proven_on_every_runtime_that_can_load_it(sample):
    here = {each.version for each in LEGACY if (ROOT / ".envs" / each.name).is_dir()}
    seen = {}
    for proof in proofs(sample):
        assert proof["ok"], proof
        assert proof["relative"] <= 1e-4 and proof["labels_agree"] is not False
        _, version, *onednn = proof["runtime"].split()
        seen.setdefault(proof["artefact"], {}).setdefault(version, set()).add(" ".join(onednn))
    graph = seen["graph/tf1.4/frozen.pb"]
    assert here < set(graph), "the old runtimes, and the convert kernel's own"
    (newest,) = (how for version, how in seen["graph/tf2/frozen.pb"].items() if version[0] == "2")
    assert newest == {"with oneDNN", "without oneDNN"}
    assert any(artefact.startswith("savedmodel/tf1.4") for artefact in seen)


def test_other_makers_clients_have_tried_the_artefacts(sample):
    here = (ROOT / ".envs" / "clients").is_dir()
    tried = sample.require("handoff")["facts"]["clients"]
    assert not [trial for trial in tried if trial["state"] == "DIFFERS"]
    agreeing = {t["client"].rpartition(" ")[0] for t in tried if t["state"] == "agrees"}
    kernel = {"TensorFlow C API", "tf2onnx → onnxruntime", "onnxruntime"}
    separate = {"OpenVINO", "LiteRT", "OpenCV DNN", "MNN", "ncnn"}
    assert agreeing == (kernel | separate if here else kernel)
    page = sample.read("report.html").read_text()
    assert "<h2>Other clients</h2>" in page
    assert here or os.environ.get("CI") != "true", "run `make clients`"


def test_the_accuracy_is_worth_the_name_and_everywhere_the_same(sample):
    known = [proof["accuracy"] for proof in proofs(sample) if proof.get("accuracy")]
    shares = {}
    for accuracy in known:
        for output, share in accuracy.items():
            shares.setdefault(output, set()).add(share)
    assert shares
    assert all(len(seen) == 1 for seen in shares.values()), shares
    assert max(map(max, shares.values())) >= 0.95


def test_the_table_at_the_end_names_every_model_and_its_runtimes(sample):
    table = summary(sample)
    for name, seen in recorded(sample).items():
        if name.endswith((".pb", ".onnx")):
            row = next(line for line in table.splitlines() if line.startswith(f"{name} "))
            assert seen["sha256"][:12] in row
    assert "DIFFER" not in table


def test_the_seal_holds_for_every_file_that_it_names(sample):
    lines = (sample.folder / "SHA256SUMS").read_text().splitlines()
    assert len(lines) >= 8
    for line in lines:
        digest, name = line.split(maxsplit=1)
        content = (sample.folder / name.lstrip("*")).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, name


def test_the_report_needs_no_network(sample):
    page = (sample.folder / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page and "<script" not in page
    assert "runs agree with the PyTorch model" in page


def test_a_receiver_verifies_a_copy_somewhere_else(sample, tmp_path):
    copy = tmp_path / "received"
    shutil.copytree(sample.folder, copy, ignore=shutil.ignore_patterns("notebooks", ".*"))
    python = interpreter("convert")
    done = subprocess.run(
        [python, "verify.py"], cwd=copy, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pb = copy / "graph/tf2/frozen.pb"
    pb.write_bytes(pb.read_bytes()[:-1000])
    done = subprocess.run(
        [python, "verify.py"], cwd=copy, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode != 0
    assert "frozen.pb" in done.stdout + done.stderr


def test_run_again_at_once_nothing_changes(sample):
    before = {
        path: path.stat().st_mtime_ns for path in sample.folder.rglob("*") if path.suffix != ".lock"
    }
    log = io.StringIO()
    run(Settings(handoffs=sample.folder.parent), progress=Progress(log))
    assert log.getvalue().count("up to date") == 6
    assert before == {
        path: path.stat().st_mtime_ns for path in sample.folder.rglob("*") if path.suffix != ".lock"
    }


def test_run_twice_from_the_start_the_artefacts_are_the_same(sample, tmp_path):
    other = run(Settings(handoffs=tmp_path / "handoffs"), progress=Progress(io.StringIO()))
    assert artefacts(other) == artefacts(sample)
    inner = "debug/activations.npz"
    assert (other.folder / inner).read_bytes() == (sample.folder / inner).read_bytes()


# -- when it fails -----------------------------------------------------------------------------


def run_alone(title: str, handoffs: Path, notebooks: Path = ROOT / "notebooks") -> Path:
    """Run one notebook and return its executed copy."""
    settings = Settings(handoffs=handoffs, notebooks=notebooks).checked()
    settings.folder.mkdir(parents=True, exist_ok=True)
    notebook = next(book for book in find_notebooks(notebooks) if book.title == title)
    copy = settings.folder / f"{title}.ipynb"
    run_notebook(notebook, settings, copy, progress=Progress(io.StringIO()))
    return copy


@pytest.mark.parametrize(
    ("title", "upstream"),
    [
        ("02_surgery", "01_export"),
        ("03_conversion", "02_surgery|01_export"),
        ("04_tensor_names", "03_conversion|02_surgery|01_export"),
        ("05_signature", "0[1-4]_"),
        ("06_handoff", "0[1-5]_"),
    ],
)
def test_without_what_comes_before_the_notebook_to_run_is_named(tmp_path, title, upstream):
    with pytest.raises(NotebookFailed, match=f"is missing. Run the notebook ({upstream})"):
        run_alone(title, tmp_path / "handoffs")


@pytest.mark.parametrize(
    ("title", "wrong", "right"),
    [("01_export", "convert", "train"), ("03_conversion", "train", "convert")],
)
def test_on_the_wrong_kernel_the_first_cell_says_which(tmp_path, title, wrong, right):
    notebooks = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", notebooks)
    book = json.loads((notebooks / f"{title}.ipynb").read_text())
    book["metadata"]["kernelspec"]["name"] = wrong
    (notebooks / f"{title}.ipynb").write_text(json.dumps(book))
    said = rf"stopped at cell \[1\]: WrongKernel: This needs the kernel '{right}'.*Change Kernel"
    with pytest.raises(NotebookFailed, match=said):
        run_alone(title, tmp_path / "handoffs", notebooks)


def test_an_edited_artefact_is_named_with_the_notebook_that_mends_it(copy_of):
    handoff = copy_of("export", "surgery")
    path = handoff.folder / "prepared.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    said = "prepared.onnx was changed since it was recorded.*Run the notebook 02_surgery"
    with pytest.raises(NotebookFailed, match=said):
        run_alone("03_conversion", handoff.folder.parent)


def test_a_truncated_artefact_is_named_with_both_sizes(copy_of):
    handoff = copy_of("export", "surgery")
    path = handoff.folder / "prepared.onnx"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:1000])
    said = f"prepared.onnx has 1000 bytes and had {size} when it was recorded"
    with pytest.raises(NotebookFailed, match=said):
        run_alone("03_conversion", handoff.folder.parent)


def test_a_failed_notebook_loses_nothing_that_was_done(copy_of):
    handoff = copy_of("export", "surgery", "conversion")
    (handoff.folder / "golden.npz").unlink()
    before = artefacts(handoff)
    with pytest.raises(NotebookFailed, match=r"golden.npz is gone.*Run the notebook 01_export"):
        run_alone("03_conversion", handoff.folder.parent)
    assert artefacts(Handoff(handoff.folder)) == before
