"""What the README of the engine shows is what its commands print, and its Python runs."""

import re
import tomllib

import onnx
import pytest

import onnxgraph.commandline
import tfgraph.commandline
import torchgraph.commandline
from graphcore import commandline
from tests.checkout import ROOT
from tests.command_lines import call

README = (ROOT / "engine" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SESSIONS = [text[2:] for _, text in BLOCKS if text.startswith("$ ")]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
PROGRAMS = {
    "onnxgraph": onnxgraph.commandline.program,
    "tfgraph": tfgraph.commandline.program,
    "torchgraph": torchgraph.commandline.program,
}


def plain(text):
    """Return the lines, without the time that something took."""
    return re.sub(r"\d+ ms", "… ms", text).splitlines()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, in which the README's first lines of Python were run."""
    monkeypatch.chdir(tmp_path)
    exec(PYTHON[0], {})
    return tmp_path


@pytest.mark.parametrize("session", SESSIONS, ids=lambda text: text.partition("\n")[0])
def test_a_command_prints_what_is_shown(session, here):
    line, _, shown = session.partition("\n")
    seen = call(PROGRAMS[line.split()[0]], line)
    expected = [each for each in plain(shown) if each.strip() != "…"]
    printed = plain(seen.out)
    assert printed[: len(expected)] == expected
    assert len(printed) == len(expected) or "…" in shown


def test_the_python_runs(here):
    exec(PYTHON[1], {})
    assert len(onnx.load("part.onnx").graph.node) == 2
    assert (here / "graph.pb").is_file()


def test_the_exit_codes_are_those_of_the_code():
    section = README.partition("## Exit codes")[2].partition("\n## ")[0]
    names = ("DONE", "REFUSED", "USAGE", "INTERRUPTED", "UNREAD")
    codes = [int(each) for each in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    assert codes == [getattr(commandline, name) for name in names]


def test_every_extra_is_in_the_table():
    project = tomllib.loads((ROOT / "engine" / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    table = README.partition("## Install")[2].partition("\n## ")[0]
    assert {*re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)} == {*extras}
