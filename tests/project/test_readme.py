"""What the README says is so: its messages are the code's own, its links and targets exist."""

import ast
import re
from pathlib import Path

import pytest

from nbhelpers.handoff import NOTEBOOKS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TROUBLESHOOTING = (ROOT / "docs" / "TROUBLESHOOTING.md").read_text(encoding="utf-8")
BENCHMARKS = ROOT / "benchmarks"
DOCS = [f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))]


def texts_of(path):
    """Yield every text in a Python file as a reader sees it, with `…` for what is filled in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def table_below(heading, page=README):
    section = page.split(heading, 1)[1].split("\n## ", 1)[0]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows(section)[2:]]


def rows(text):
    return [line for line in text.splitlines() if line.startswith("| ")]


def messages():
    return [row[0] for row in table_below("# If this fails", TROUBLESHOOTING)]


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
    names = [
        re.sub(r"[`|\[].*?|\].*", "", row[0]).strip() for row in table_below("## The notebooks")
    ]
    stages = list(NOTEBOOKS.values())
    others = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    others = [name for name in others if name not in stages]
    assert [name for name in names if re.match(r"\d", name)] == [*stages, *others]


def test_the_differences_are_those_of_the_benchmark():
    measured = (BENCHMARKS / "architectures" / "README.md").read_text()
    cells = {row[0]: row[3:] for row in map(cells_of, rows(measured))}
    shown = [row for row in table_below("## Results") if len(row) == 5 and "e-" in row[1]]
    assert len(shown) == 5
    for name, *differences in shown:
        assert differences == cells[f"{name}.onnx"]


def test_the_counts_are_those_of_the_suite():
    measured = (BENCHMARKS / "coverage" / "README.md").read_text()
    counts = {row[0]: row[2:5] for row in map(cells_of, rows(measured)) if row[1] == "node"}
    per_target = [counts[target] for target in ("tf2", "tf1.15", "tf1.13", "tf1.4")]
    shown = [row[1:] for row in table_below("## Results") if row[0].startswith("ops ")]
    assert shown == [list(each) for each in zip(*per_target, strict=True)]


def test_the_speed_is_the_benchmarks():
    (factor,) = re.findall(r"conversion is ([\d.]+) times faster than onnx-tf's", README)
    said = f"- onnx-tf takes {factor}× as long as ours, verified, in geometric mean"
    assert said in (BENCHMARKS / "RESULTS.md").read_text()


def cells_of(row):
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *DOCS])
def test_every_link_and_target_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (ROOT / page).parent.joinpath(link).exists(), link
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z]+)", text):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_make_target_is_in_contributing():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for target in re.findall(r"^([a-z]+):.*## ", makefile, re.M):
        assert f"`make {target}`" in contributing or target == "help", target
