"""`torchgraph` on the command line: every example in its help, and what it refuses."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.checkout import PYTHONPATH
from tests.command_lines import call, write_files
from torchgraph.commandline import program


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = write_files(tmp_path_factory.mktemp("files"))
    line = f"torchgraph import {folder}/model.onnx -o {folder}/imported --no-simplify --json"
    seen = call(program, line)
    assert seen.data["result"]["proven"] is True
    assert seen.data["result"]["parameters"] == 188
    return folder


@pytest.fixture
def here(files, monkeypatch):
    """The folder with the files, which is the current one."""
    monkeypatch.chdir(files)
    return files


@pytest.mark.parametrize("name", sorted(set(program.commands) - {"import"}))
def test_the_example_in_the_help_works(name, here):
    assert call(program, f"{program.commands[name].example} --json").data["ok"] is True


def test_the_program_that_was_written_runs_without_this_package(here):
    module = torch.export.load("imported/program.pt2").module()
    made = module(torch.from_numpy(np.load("inputs.npz")["images"])).detach().numpy()
    call(program, "torchgraph run imported inputs.npz -o out.npz")
    np.testing.assert_allclose(np.load("out.npz")["scores"], made, rtol=1e-5)
    expected = np.load("golden.npz")["two/output/scores"]
    np.testing.assert_allclose(made, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("import nowhere.onnx -o x", "nowhere.onnx cannot be read: there is no file nowhere.onnx."),
        ("import model.onnx -o zeros.npy --no-simplify", "zeros.npy is a file"),
        ("import inputs.npz -o x", "inputs.npz is not an ONNX file, or it was cut short"),
        ("look .", ". is not the folder of an imported model"),
        ("run imported zeros.npy -o x.npz", "zeros.npy cannot be read as inputs"),
        ("run imported golden.npz -o x.npz", "There is no input named 'two/input/images'"),
    ],
)
def test_a_refusal_is_the_sentence_of_the_verb(line, words, here):
    seen = call(program, f"torchgraph {line}")
    assert (seen.code, seen.out) == (1, "")
    assert seen.err.startswith("Error: ") and words in seen.err
    assert not (here / "x").exists()


def test_help_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from torchgraph.commandline import program; program.main(['import', '--help'])"
    )
    options = {"capture_output": True, "encoding": "utf-8", "check": True}
    variables = {**os.environ, "PYTHONPATH": PYTHONPATH}
    done = subprocess.run([sys.executable, "-c", code], env=variables, **options)
    assert "torchgraph import model.onnx -o imported" in done.stdout
