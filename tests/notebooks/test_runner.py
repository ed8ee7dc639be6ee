"""The runner itself, on six notebooks that do their stages without any model."""

import io
import json
import signal

import pytest

from graphcore.errors import HandoffError, Refusal
from nbhelpers.handoff import NOTEBOOKS, Handoff, locked
from nbhelpers.workbook import NotebookFailed, Settings, run
from nbhelpers.workbook.__main__ import main
from nbhelpers.workbook.progress import Progress
from nbhelpers.workbook.summary import summary


def artefacts(handoff):
    stages = handoff.record()["stages"].values()
    return {name: seen["sha256"] for entry in stages for name, seen in entry["files"].items()}


def everything(folder):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


@pytest.fixture
def settings(tiny, tmp_path):
    def make(cells=None, kernels=None, **others):
        folders = {"notebooks": tiny(cells, kernels), "handoffs": tmp_path / "handoffs"}
        return Settings(name="model", **{**folders, **others})

    return make


def test_six_notebooks_on_two_kernels_make_one_handoff(settings):
    log = io.StringIO()
    handoff = run(settings(targets="tf1.4 tf2"), progress=Progress(log))
    assert [status.state for status in handoff.status()] == ["done"] * 6
    assert handoff.files("conversion") == ("graph/tf1.4/frozen.pb", "graph/tf2/frozen.pb")
    for title in NOTEBOOKS.values():
        assert f"{title:<16} " in log.getvalue()
        executed = json.loads((handoff.folder / "notebooks" / f"{title}.ipynb").read_text())
        assert executed["metadata"]["papermill"]["output_path"] == f"{title}.ipynb"
        assert executed["metadata"]["papermill"]["parameters"]["HANDOFFS"] == "../.."
        assert str(handoff.folder.parent) not in json.dumps(executed)
        injected = next(
            c for c in executed["cells"] if "injected" in str(c["metadata"].get("tags"))
        )
        text = "".join(injected["source"])
        assert 'NAME = "model"' in text
        assert 'TARGETS = ["tf1.4", "tf2"]' in text  # a list, because the notebook's default is one
        assert "MODEL" not in text and "OPSET" not in text  # the notebooks do not declare them
    assert log.getvalue().count("done ") == 6

    table = summary(handoff).splitlines()
    digest = artefacts(handoff)["graph/tf2/frozen.pb"][:12]
    row = next(line for line in table if line.startswith("graph/tf2/frozen.pb"))
    assert digest in row
    assert row.endswith("TensorFlow 1.4.1, TensorFlow 2.21.0  2.0e-06, labels identical")
    unproven = next(line for line in table if line.startswith("graph/tf1.4/frozen.pb"))
    assert unproven.split()[-2:] == ["–", "–"]
    assert "MNN 3         1 of 2 files, ANOTHER RESULT on graph/tf2/frozen.pb" in table
    assert "not installed (make clients): LiteRT" in table

    before = everything(handoff.folder)
    log = io.StringIO()
    run(settings(targets="tf1.4 tf2"), progress=Progress(log))
    assert log.getvalue().count("up to date") == 6
    assert everything(handoff.folder) == before

    log, made = io.StringIO(), artefacts(handoff)
    changed = settings(
        cells={"names": 'with handoff.stage("names") as s:\n    s.facts["n"] = 2'},
        targets="tf1.4 tf2",
    )
    run(changed, progress=Progress(log))
    assert [line.split()[0] for line in log.getvalue().splitlines() if "done " in line] == [
        "04_tensor_names"
    ]

    run(changed, again=True)
    assert artefacts(handoff) == made


def test_a_file_that_was_edited_by_hand_is_made_again_and_kept(settings):
    handoff = run(settings())
    made = artefacts(handoff)
    for file, text in {"prepared.onnx": "my own surgery", "graph/tf2/frozen.pb": None}.items():
        path = handoff.folder / file
        path.unlink() if text is None else path.write_text(text)
    log = io.StringIO()
    run(settings(), progress=Progress(log))
    lines = log.getvalue().splitlines()
    assert (
        "prepared.onnx has 14 bytes and had 8 when it was recorded: 02_surgery makes it again. "
        "The edited file is kept as prepared.onnx.edited"
    ) in lines
    assert "graph/tf2/frozen.pb is gone: 03_conversion makes it again" in lines
    assert (handoff.folder / "prepared.onnx.edited").read_text() == "my own surgery"
    assert artefacts(Handoff(handoff.folder)) == made


def test_a_cell_that_fails_ends_the_run_with_its_own_sentence(tiny, tmp_path, workbook, outputs):
    cell = "from nbhelpers.errors import GraphError\nraise GraphError(\"Node 'x' has no input.\")"
    folder = tiny({"surgery": cell})
    process = workbook("--notebooks", folder, "--handoffs", tmp_path / "h", "--name", "model")
    said, errors = process.communicate(timeout=300)
    copy = tmp_path / "h/model/notebooks/02_surgery.ipynb"
    assert process.returncode == 1
    assert errors.splitlines() == [
        "02_surgery stopped at cell [4]: GraphError: Node 'x' has no input.",
        f"Look at it in {copy}",
    ]
    assert "stopped  at cell 4 of 4" in said
    assert "Node 'x' has no input." in outputs(copy)
    states = [status.state for status in Handoff(tmp_path / "h/model").status()]
    assert states == ["done"] + ["missing"] * 5


def test_an_interrupted_run_says_so_and_keeps_what_is_done(tiny, tmp_path, workbook):
    folder = tiny({"surgery": "import time\ntime.sleep(600)"})
    process = workbook("--notebooks", folder, "--handoffs", tmp_path / "h", "--name", "model")
    for line in process.stdout:
        if line.startswith("02_surgery"):
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.strip() == "Interrupted. Finished stages stay: run the same command to go on."
    assert Handoff(tmp_path / "h/model").status()[0].state == "done"


def test_a_second_run_on_the_same_handoff_is_refused(settings, tmp_path, capsys):
    chosen = settings()
    chosen.folder.mkdir(parents=True)
    arguments = ["--name", "model", "--notebooks", chosen.notebooks, "--handoffs", chosen.handoffs]
    with locked(chosen.folder / ".run.lock", "busy"):
        assert main(list(map(str, arguments))) == 1
    expected = f"Another `make handoff` works on {chosen.folder}. Wait until it is done, or choose "
    assert capsys.readouterr().err == f"{expected}another NAME.\n"


def test_a_notebook_that_records_nothing_has_not_done_its_stage(settings):
    with pytest.raises(HandoffError, match=r"stage 'export' is missing"):
        run(settings(cells={"export": "1 + 1"}))


def test_a_kernel_that_dies_is_one_sentence(settings):
    with pytest.raises(
        NotebookFailed, match=r"stopped at cell \[4\]: Kernel died .*enough memory\?"
    ):
        run(settings(cells={"export": "import os\nos._exit(9)"}))


def test_a_missing_kernel_is_noticed_before_anything_runs(settings):
    chosen = settings(kernels={"handoff": "nonesuch"})
    with pytest.raises(Refusal, match=r"The kernel 'nonesuch' is not installed. Run `make setup`."):
        run(chosen)
    assert not chosen.folder.exists()


def test_a_missing_notebook_is_noticed_before_anything_runs(settings):
    chosen = settings()
    (chosen.notebooks / "06_handoff.ipynb").unlink()
    with pytest.raises(Refusal, match=r"There is no notebook .*06_handoff.ipynb\. Restore it"):
        run(chosen)
    assert not chosen.folder.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"metadata": {}, "cells": []}'])
def test_a_file_that_is_no_notebook_is_named(settings, text):
    chosen = settings()
    (chosen.notebooks / "03_conversion.ipynb").write_text(text)
    with pytest.raises(
        Refusal, match=r"03_conversion.ipynb is not a notebook that names its kernel"
    ):
        run(chosen)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--name", "../x"], "A handoff is named with letters, digits"),
        (
            ["--model", "model.py"],
            "MODEL is written package.module:factory, but this is 'model.py'",
        ),
        (["--targets", "tf1.5"], "There is no target named 'tf1.5'. The closest are 'tf1.15'"),
        (["--targets", " "], "TARGETS is empty. Choose from tf1.4"),
        (["--inputs", "images"], "An input is written name:dtype:dims"),
        (["--checkpoint", "no.pth"], "no.pth does not exist. Give the path of a file"),
    ],
)
def test_what_cannot_be_right_is_refused_in_one_line(arguments, sentence, capsys):
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_handoffs_folder_that_is_a_file_is_one_sentence(settings, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HandoffError, match=r"cannot be written: a part of the path is a file"):
        run(settings(handoffs=tmp_path / "file"))


def test_the_name_is_the_factorys_unless_given():
    assert Settings(model="a.b:make_net").checked().name == "make_net"
    assert Settings(model="a.b:Nets.small").checked().name == "small"
    assert Settings(model="a.b:make_net", name="mine").checked().name == "mine"


def test_what_was_not_given_is_left_to_the_notebook(settings):
    chosen = settings(opset=0, inputs="")
    assert {"OPSET", "INPUTS", "CHECKPOINT"}.isdisjoint(chosen.parameters())


def test_relative_paths_are_the_callers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").write_bytes(b"")
    chosen = Settings(checkpoint="w.pth", handoffs="here").checked()
    assert chosen.parameters()["CHECKPOINT"] == str(tmp_path / "w.pth")
    inside = Settings(checkpoint="w.pth:model.ema").checked()
    assert inside.parameters()["CHECKPOINT"] == f"{tmp_path / 'w.pth'}:model.ema"
    assert chosen.parameters()["HANDOFFS"] == str(tmp_path / "here")


def test_a_terminal_shows_a_live_count_in_one_line(settings):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    run(settings(), progress=Progress(terminal))
    lines = terminal.getvalue().split("\n")
    assert len(lines) == 8 and lines[-1] == ""
    assert "model nbhelpers.train.samples:multitask_resnet18" in lines[0]
    assert "\r\x1b[K01_export        train    cell 2 of 4\r" in lines[1]
    assert lines[1].rpartition("\r\x1b[K")[2].startswith("01_export        train    done")


def test_a_model_from_elsewhere_is_found_and_always_exported_again(tiny, tmp_path, workbook):
    (tmp_path / "my_model.py").write_text("WORD = 'mine'\n")
    cell = (
        "import my_model\nwith handoff.stage('export') as s:\n"
        "    s.write('exported.onnx').write_text(my_model.WORD)"
    )
    arguments = [
        "--notebooks",
        tiny({"export": cell}),
        "--handoffs",
        "h",
        "--model",
        "my_model:net",
    ]
    for word in ("mine", "mine", "another"):
        (tmp_path / "my_model.py").write_text(f"WORD = {word!r}\n")
        process = workbook(*arguments, cwd=tmp_path)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert Handoff(tmp_path / "h/net").read("exported.onnx").read_text() == "another"
    assert [status.state for status in Handoff(tmp_path / "h/net").status()] == ["done"] * 6
