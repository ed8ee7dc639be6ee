"""`tfgraph` on the command line: every example in its help, what counts as proven, its refusals."""

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest

from tests.checkout import PYTHONPATH
from tests.command_lines import call, write_files
from tfgraph.commandline import program


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = write_files(tmp_path_factory.mktemp("files"))
    made = call(program, f"tfgraph convert {folder}/model.onnx -o {folder}/graph.pb")
    assert made.code == 0, made.err
    return folder


@pytest.fixture
def here(files, monkeypatch):
    """The folder with the files, which is the current one."""
    monkeypatch.chdir(files)
    return files


@pytest.mark.parametrize("name", sorted(set(program.commands) - {"convert"}))
def test_the_example_in_the_help_works(name, here):
    command = program.commands[name]
    assert call(program, f"{command.example} --json").data["ok"] is True
    assert len(command.help) > 20


def test_a_conversion_for_today_is_proven(here):
    seen = call(program, "tfgraph convert model.onnx --json").data["result"]
    assert (seen["status"], seen["written"]) == ("proven", "model.tf2.pb")
    assert seen["inputs"] == {"images": "images:0"}
    assert seen["outputs"] == {"scores": "scores:0"}
    assert [step["name"] for step in seen["steps"]] == ["build", "optimise", "retarget"]
    assert all(report["ok"] for report in seen["proof"])
    assert (here / "model.tf2.pb").stat().st_size > 500


@pytest.mark.legacy
def test_a_conversion_for_an_old_target_is_proven_by_that_release(here, legacy):
    seen = call(program, "tfgraph convert model.onnx --target tf1.15 --json").data["result"]
    assert seen["status"] == "proven"
    assert seen["proof"][-1]["title"] == "TensorFlow 1.15.5 against onnxruntime, batch 3"


def test_without_that_release_it_is_schema_checked_and_says_how_to_prove_it(here, monkeypatch):
    monkeypatch.setenv("NBHELPERS_ENVS", str(here / "nothing"))
    seen = call(program, "tfgraph convert model.onnx --target tf1.15 -o old.pb")
    first, second, *rest = seen.out.splitlines()
    assert first == "Conversion for tf1.15 → old.pb: schema-checked"
    assert second == (
        "  the runtime tf1.15 is not installed here. For the proof, run `make legacy` in a "
        "checkout of the workbook, and set NBHELPERS_ENVS to the folder .envs there"
    )
    assert "proven" not in seen.out
    assert rest


def test_without_a_comparison_it_is_unproven(here):
    seen = call(program, "tfgraph convert model.onnx --no-verify -o quick.pb")
    assert seen.out.splitlines()[0] == "Conversion for tf2 → quick.pb: unproven"


def test_run_takes_and_gives_arrays_of_graphs_and_saved_models(here):
    graph = call(program, "tfgraph run graph.pb inputs.npz -o one.npz --fetch scores:0")
    assert graph.out == "scores:0: float32 (2, 4)\nwritten to one.npz\n"
    call(program, "tfgraph sign graph.pb -o served/2 --output-tensor classes=scores:0")
    call(program, "tfgraph run served/2 inputs.npz -o two.npz")
    expected = np.load("golden.npz")["two/output/scores"]
    np.testing.assert_allclose(np.load("one.npz")["scores:0"], expected, rtol=1e-4)
    np.testing.assert_allclose(np.load("two.npz")["classes"], expected, rtol=1e-4)


def test_look_gives_signatures_and_finds_tensors(here):
    call(program, "tfgraph sign graph.pb -o served/3 --input pixels=images:0")
    seen = call(program, "tfgraph look served/3 --op Conv2D --shape ?,4,4,2 --json").data["result"]
    signature = seen["signatures"]["serving_default"]
    assert signature["inputs"]["pixels"]["shape"] == ["batch", 3, 8, 8]
    assert [each["op"] for each in seen["found"]] == ["Conv2D"]


def test_a_diff_names_the_first_op_that_is_wrong(here):
    other = onnx.load("model.onnx")
    other.graph.node[1].op_type = "Sigmoid"
    onnx.save(other, "other.onnx")
    seen = call(program, "tfgraph diff other.onnx graph.pb --json")
    assert seen.code == 1
    first = seen.data["result"]["first_difference"]
    assert (first["tensor"]["name"], first["nodes"]) == ("active", ["act"])


def test_what_cannot_be_converted_is_listed_and_refused(here):
    text = '<ir_version: 7, opset_import: ["" : 13]> odd (float[2] x) => (float[2] y) '
    onnx.save(onnx.parser.parse_model(text + "{ [dice] y = RandomNormalLike(x) }"), "odd.onnx")
    listed = call(program, "tfgraph preflight odd.onnx --json")
    assert listed.code == 1
    assert [each["node"] for each in listed.data["result"]["obstacles"]] == ["dice"]
    refused = call(program, "tfgraph convert odd.onnx -o odd.pb --json")
    assert refused.code == 1
    assert [each["node"] for each in refused.data["error"]["obstacles"]] == ["dice"]
    assert not (here / "odd.pb").exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("convert nowhere.onnx", "nowhere.onnx cannot be read: there is no file nowhere.onnx."),
        ("convert .", ". is a folder. Give the path of the .onnx file itself."),
        ("look nowhere.pb", "There is no file nowhere.pb; a frozen graph (.pb) was expected."),
        ("look cut.pb", "cut.pb"),
        ("look .", "There is no saved_model.pb in ."),
        ("look graph.pb --shape a,b", "A shape is written with numbers and ?"),
        ("run graph.pb nowhere.npz -o x.npz", "nowhere.npz cannot be read as inputs"),
        ("run graph.pb golden.npz -o x.npz", "There is no TensorFlow tensor named 'two/"),
        ("sign graph.pb -o served/4 --input pixels=image:0", "The closest are 'images:0'"),
        ("sign graph.pb -o graph.pb", "graph.pb is a file, but a SavedModel is a folder"),
        ("onnx graph.pb -o x.onnx --input nothing:0", "named 'nothing:0'"),
        ("onnx graph.pb -o x.onnx --opset 99", "99 was asked for"),
        ("diff graph.pb graph.pb", "Neither side is an ONNX model"),
    ],
)
def test_a_refusal_is_the_sentence_of_the_verb(line, words, here):
    (here / "cut.pb").write_bytes((here / "graph.pb").read_bytes()[:300])
    seen = call(program, f"tfgraph {line}")
    assert (seen.code, seen.out) == (1, "")
    assert seen.err.startswith("Error: ") and words in seen.err
    assert not (here / "x.onnx").exists() and not (here / "x.npz").exists()


def test_an_unknown_target_is_wrong_usage(here):
    seen = call(program, "tfgraph convert model.onnx --target tf1.14")
    assert seen.code == 2
    assert "'tf1.14' is not one of 'tf1.4', 'tf1.13', 'tf1.15', 'tf2'" in seen.err


def test_the_module_is_the_program_and_prints_nothing_but_the_answer(here):
    command = [sys.executable, "-m", "tfgraph", "preflight", "model.onnx", "--json"]
    options = {"capture_output": True, "encoding": "utf-8", "check": True}
    variables = {**os.environ, "PYTHONPATH": PYTHONPATH}
    done = subprocess.run(command, env=variables, **options)
    assert done.stdout.startswith('{\n "ok": true,')
    assert done.stderr == ""
