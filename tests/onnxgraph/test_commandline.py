"""`onnxgraph` on the command line: every example in its help, its refusals, its JSON."""

import os
import subprocess
import sys

import click
import numpy as np
import onnx
import onnxruntime
import pytest

from onnxgraph.commandline import program
from tests.checkout import PYTHONPATH
from tests.command_lines import call, network, write_files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture
def here(files, monkeypatch):
    """The folder with the files, which is the current one."""
    monkeypatch.chdir(files)
    return files


@pytest.mark.parametrize("name", sorted(program.commands))
def test_the_example_in_the_help_works_and_options_say_what_they_are(name, here):
    command = program.commands[name]
    assert call(program, f"{command.example} --json").data["ok"] is True
    assert len(command.help) > 20
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert not [each.name for each in options if not each.help]


def test_look_prints_the_outline_and_gives_it_as_json(here):
    seen = call(program, "onnxgraph look model.onnx")
    assert "   input   images: float32 batch × 3 × 8 × 8\n" in seen.out
    data = call(program, "onnxgraph look model.onnx --json").data["result"]
    assert data["inputs"] == [{"name": "images", "dtype": "float32", "shape": ["batch", 3, 8, 8]}]
    assert data["opsets"] == {"ai.onnx": 13}
    assert data["ops"] == {"Conv": 1, "Gemm": 1, "Relu": 1, "Reshape": 1}
    assert data["nodes"][1] == {"name": "act", "op": "Relu"}
    assert data["weights"]["count"] == 5


def test_a_cut_is_proven_and_written(here):
    seen = call(program, "onnxgraph cut model.onnx --from features --to rows -o part.onnx --json")
    data = seen.data["result"]
    assert data["nodes"] == {"before": 4, "after": 2}
    assert data["proven"] is True
    assert {row["status"] for report in data["proof"] for row in report["rows"]} == {"ok"}
    part = onnx.load(here / "part.onnx")
    assert [node.op_type for node in part.graph.node] == ["Relu", "Reshape"]


def test_an_edit_that_changes_the_numbers_is_written_unless_it_shall_be_proven(here):
    line = "onnxgraph insert-after model.onnx act --op Neg -o negated.onnx"
    assert "not compared with the model before" in call(program, line).out
    (here / "negated.onnx").unlink()
    seen = call(program, f"{line} --prove")
    assert seen.code == 1
    assert "tensors differ from the reference" in seen.err
    assert not (here / "negated.onnx").exists()


def test_run_gives_what_the_model_gives_inner_tensors_too(here):
    call(program, "onnxgraph run model.onnx inputs.npz -o out.npz --fetch active --fetch scores")
    found = np.load(here / "out.npz")
    session = onnxruntime.InferenceSession("model.onnx")
    expected = session.run(None, dict(np.load("inputs.npz")))[0]
    np.testing.assert_allclose(found["scores"], expected, rtol=1e-5)
    assert found["active"].shape == (2, 2, 4, 4)


def test_written_arrays_may_have_any_name(here):
    call(program, "onnxgraph rename model.onnx images=file scores=a/b -o odd.onnx")
    seen = call(program, "onnxgraph examples odd.onnx -o odd.npz --batch 5")
    assert seen.out.startswith("file: float32 (5, 3, 8, 8)\n")
    assert call(program, "onnxgraph run odd.onnx odd.npz -o odd_out.npz").code == 0
    assert np.load(here / "odd_out.npz")["a/b"].shape == (5, 4)


def test_a_diff_that_differs_has_exit_code_1(here):
    other = network()
    other.graph.node[1].op_type = "Sigmoid"
    onnx.save(other, "other.onnx")
    assert call(program, "onnxgraph diff model.onnx simple.onnx").code == 0
    seen = call(program, "onnxgraph diff model.onnx other.onnx")
    assert seen.code == 1
    assert seen.err.startswith("Error: batch 1: 1 of 1 tensors differ from the reference")


def test_attributes_of_other_kinds_than_text(here):
    line = "onnxgraph set-attributes model.onnx conv --attribute pads=[0,0,2,2] -o pads.onnx"
    assert "pads [1, 1, 1, 1] → [0, 0, 2, 2]" in call(program, line).out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("look nowhere.onnx", "nowhere.onnx cannot be read: there is no file nowhere.onnx."),
        ("look .", ". is a folder. Give the path of the .onnx file itself."),
        ("look cut.onnx", "cut.onnx is not an ONNX file, or it was cut short"),
        ("look inputs.npz", "inputs.npz is not an ONNX file, or it was cut short"),
        ("cut model.onnx --to row -o x.onnx", "There is no tensor named 'row'. The closest are"),
        ("run model.onnx zeros.npy -o x.npz", "zeros.npy cannot be read as inputs"),
        ("run model.onnx nowhere.npz -o x.npz", "nowhere.npz cannot be read as inputs"),
        ("set-weight model.onnx bias inputs.npz -o x.onnx", "inputs.npz is no array"),
        ("set-weight model.onnx kernel zeros.npy -o x.onnx", "must have the shape (2, 3, 3, 3)"),
        ("golden model.onnx inputs.npz", "inputs.npz cannot be read as golden cases"),
        ("fix model.onnx height=2 -o x.onnx", "There is no symbolic dim named 'height'."),
        ("lower model.onnx --opset 99 -o x.onnx", "it can be lowered to 9 … 13, but 99"),
        ("cut model.onnx --examples zeros.npy -o x.onnx", "zeros.npy cannot be read as examples"),
    ],
)
def test_a_refusal_is_the_sentence_of_the_verb(line, words, here):
    (here / "cut.onnx").write_bytes((here / "model.onnx").read_bytes()[:300])
    seen = call(program, f"onnxgraph {line}")
    assert (seen.code, seen.out) == (1, "")
    assert seen.err.startswith("Error: ") and words in seen.err
    assert not (here / "x.onnx").exists() and not (here / "x.npz").exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("free square.onnx --axis images=height -o x.onnx", "Write INPUT:AXIS=SYMBOL"),
        ("set-inputs model.onnx images -o x.onnx", "An input is written name:dtype:dims"),
        ("rename model.onnx images -o x.onnx", "A pair of names is written one=other"),
        ("repair wishes model.onnx -o x.onnx", "'wishes' is not one of 'casts'"),
    ],
)
def test_wrong_usage_says_how_it_is_written(line, words, here):
    seen = call(program, f"onnxgraph {line}")
    assert seen.code == 2
    assert words in " ".join(seen.err.split())


def test_the_module_is_the_program(here):
    command = [sys.executable, "-m", "onnxgraph", "look", "model.onnx"]
    options = {"capture_output": True, "encoding": "utf-8", "check": True}
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": PYTHONPATH}, **options)
    assert done.stdout.startswith("ModelProto · IR 7 · ai.onnx 13\n")
    assert done.stderr == ""
