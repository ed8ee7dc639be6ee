"""Lines to paste, made of names that somebody else chose: each is one word, or one text."""

import ast
import subprocess
from pathlib import Path

import pytest

from nbhelpers.convert.savedmodels import serving
from tfgraph.savedmodels.reading import SavedModel, Signature

PLAIN = [
    "x",
    "input.1",
    "B\xe4ume \u6587",
    "a b",
    "$HOME",
    "`id`",
    "$(id)",
    "it's",
    '"; id #',
    "a\\b",
]
UNSEEN = ["a\nid\n", "a\rid", "a\x1b[2J", "\u202ea", "a\x7f", "\0"]


def model(name):
    return SavedModel(Path("1"), (name,), {name: Signature({name: "x:0"}, {name: "y:0"})}, {}, None)


@pytest.mark.parametrize("name", PLAIN)
def test_a_shell_takes_each_name_as_one_word(name, tmp_path):
    for program in ("saved_model_cli", "tensorflow_model_server"):
        (tmp_path / program).write_text('#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done\n')
        (tmp_path / program).chmod(0o755)
    lines = serving.command_lines(model(name), path=f"{name}/1", name=name, signature=name)
    done = subprocess.run(
        ["sh", "-c", lines],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PWD": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    options = ["--dir", f"{name}/1", "--tag_set", name, "--signature_def", name]
    served = [f"--model_name={name}", f"--model_base_path={tmp_path}/{name}"]
    words = ["show", *options, "run", *options, "--inputs", f"{name}={name}.npy", *served]
    assert done.stdout.split("\0")[:-1] == words and not done.stderr


@pytest.mark.parametrize("name", UNSEEN)
def test_a_terminal_gets_no_control_characters(name):
    lines = serving.command_lines(model(name), path="1", name="m", signature=name)
    assert lines.startswith("# No lines for a shell") and "\n" not in lines


@pytest.mark.parametrize("name", [*PLAIN, *UNSEEN])
def test_python_takes_each_name_as_one_text(name):
    text = serving.client_code(model(name), path=name, signature=name)
    assert text.replace("\n", "").isprintable()
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    assert {node.value for node in found} == {name}
    called = {
        node.func.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called


@pytest.mark.parametrize("name", [*PLAIN, *UNSEEN])
def test_protobuf_takes_each_name_as_one_text(name):
    from google.protobuf import text_format
    from tensorflow.core.framework import node_def_pb2

    read = text_format.Parse(f"name: {serving_quoted(name)}", node_def_pb2.NodeDef())
    assert read.name == name


def serving_quoted(name):
    """Return a name as it stands in config.pbtxt."""
    from graphcore.spec import TensorSpec

    spec = TensorSpec("x", "float32", ("batch", 4))
    text = serving.triton_config("m", "tensorflow_savedmodel", {name: spec}, {"y": spec})
    (line,) = (
        line
        for line in text.splitlines()
        if "name: " in line and "data_type" in line and '"y"' not in line
    )
    return line.partition("name: ")[2].rpartition(" data_type")[0]
