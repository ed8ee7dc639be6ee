"""What the README says is so: its messages are the code's own, its links and targets exist."""

import ast
import re
from pathlib import Path

import pytest

from nbhelpers.handoff import NOTEBOOKS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def texts_of(path):
    """Yield every text in a Python file as a reader sees it, with `…` for what is filled in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def table_below(heading):
    section = README.split(heading, 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


def messages():
    return [row[0] for row in table_below("## If this fails")]


@pytest.fixture(scope="module")
def texts():
    files = sorted(path for room in ("nbhelpers", "engine") for path in (ROOT / room).rglob("*.py"))
    return [text for path in files for text in texts_of(path)]


def test_there_are_messages():
    assert len(messages()) >= 15


@pytest.mark.parametrize("message", messages())
def test_a_message_in_the_troubleshooting_table_is_the_codes_own(message, texts):
    for piece in re.findall(r"`([^`]+)`", message):
        assert any(piece in text for text in texts), piece


def test_the_notebook_tables_name_the_stages_in_order_and_then_the_others():
    rows = [row[0].strip("`| ") for row in table_below("## The way of a model")]
    stages = list(NOTEBOOKS.values())
    others = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    others = [name for name in others if name not in stages]
    assert [name for name in rows if re.match(r"\d", name)] == [*stages, *others]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_and_target_exists(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (ROOT / link).exists(), link
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z]+)", text):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_make_target_is_in_contributing():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for target in re.findall(r"^([a-z]+):.*## ", makefile, re.M):
        assert f"`make {target}`" in contributing or target == "help", target
