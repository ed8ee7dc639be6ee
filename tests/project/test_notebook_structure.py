"""The form that every notebook of the workbook has; what is taught in it is its own business."""

import ast
import copy
import json
import re
from pathlib import Path

import papermill
import pytest

from nbhelpers.handoff import NOTEBOOKS

FOLDER = Path(__file__).parents[2] / "notebooks"
BESIDE = ("07_debugging", "08_onnx_to_pytorch", "09_tensorflow_to_onnx", "10_repairs")
TITLES = ["00_start_here", *NOTEBOOKS.values(), *BESIDE]
KERNELS = {
    title: "train" if title[:2] in ("00", "01", "02", "08", "10") else "convert" for title in TITLES
}

MAX_CELLS = 60
MAX_LINES = 25
MAX_BYTES = 500_000
CAPTURE = re.compile(r"\bOutput\(|\binteract(ive|ive_output|_manual)?\(")
"""Widgets that capture what is printed: a headless run hangs on them."""
CARD = ("kernel", "reads", "writes", "minutes", "you will be able to")
EMPTY_HEADINGS = {"introduction", "setup", "code", "results", "conclusion", "summary", "overview"}
SHELL = re.compile(r"^\s*(!|%%?(pip|conda|bash|sh|sx|system|script|cd|env)\b)|get_ipython\(", re.M)
ABSOLUTE = re.compile(
    r"""(?<![\w.:/~<])/(home|Users|root|work|tmp|opt|usr|mnt|var|data)/|\b[A-Z]:\\"""
)


EITHER = ("00_start_here",)  # runs on both kernels, and writes nothing


def source(cell):
    return "".join(cell["source"])


def tags(cell):
    return cell["metadata"].get("tags", [])


def headings(cells):
    """Return (level, text, index) for each heading outside fenced code."""
    found = []
    for index, cell in enumerate(cells):
        if cell["cell_type"] == "markdown":
            text = re.sub(r"^```.*?^```", "", source(cell), flags=re.S | re.M)
            found += [
                (len(signs), words.strip(), index)
                for signs, words in re.findall(r"^(#{1,6}) +(.+)$", text, flags=re.M)
            ]
    return found


def complaints(title, book):
    """Yield what is wrong with a notebook, one sentence each."""
    cells = book["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    yield from about_frame(title, book, cells, code)
    yield from about_cells(cells, code)
    yield from about_headings(cells, writes=title not in EITHER)


def about_frame(title, book, cells, code):
    number = title[:2]
    kernel = book["metadata"].get("kernelspec", {}).get("name")
    if kernel != KERNELS[title]:
        yield f"its kernel is {kernel!r}, not {KERNELS[title]!r}"
    if book["metadata"].get("kernelspec", {}).get("language", "python") != "python":
        yield "its language is not python"
    if book.get("nbformat") != 4 or book.get("nbformat_minor", 0) < 5:
        yield "it is not in format 4.5, whose cells have ids"
    if not cells or not re.match(rf"# {number} · \S+ \S", source(cells[0])):
        yield f"its first line is not '# {number} · Verb phrase'"
    card = source(cells[0]).lower() if cells else ""
    missing = [word for word in CARD if word not in card]
    if missing:
        yield f"its card does not say: {', '.join(missing)}"
    asked = "require_either()" if title in EITHER else f'require("{KERNELS[title]}")'
    if not code or asked not in source(code[0]):
        yield f"its first code cell does not call kernel.{asked}"
    if len(code) < 2 or "parameters" not in tags(code[1]):
        yield "its second code cell is not tagged parameters"
    else:
        yield from about_parameters(source(code[1]))


def about_parameters(text):
    lines = text.splitlines()
    for statement in ast.parse(text).body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            yield f"line {statement.lineno} of its parameters is no typed assignment"
            continue
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", statement.target.id):
            yield f"its parameter {statement.target.id} is not in capitals"
        around = lines[max(0, statement.lineno - 2) : statement.end_lineno]
        if not any("#" in line for line in around):
            yield f"its parameter {statement.target.id} has no comment"


def about_cells(cells, code):
    if len(cells) > MAX_CELLS:
        yield f"it has {len(cells)} cells; at most {MAX_CELLS} are read"
    ids = [cell.get("id") for cell in cells]
    if None in ids or len(set(ids)) != len(ids):
        yield "its cells have no ids of their own"
    for index, cell in enumerate(cells):
        for pattern, what in ((SHELL, "a shell line or magic"), (ABSOLUTE, "an absolute path")):
            if cell["cell_type"] == "code" or pattern is ABSOLUTE:
                found = pattern.search(source(cell))
                if found:
                    yield f"cell {index} has {what}: {found.group().strip()}"
    for index, cell in enumerate(code):
        text = source(cell)
        if text.count("\n") + 1 > MAX_LINES:
            lines = text.count("\n") + 1
            yield f"code cell {index} has {lines} lines; at most {MAX_LINES} are read"
        if not text.strip():
            yield f"code cell {index} is empty"
        if CAPTURE.search(text):
            yield f"code cell {index} captures output in a widget, which stalls headless runs"
        if "raises-exception" in tags(cell):
            yield f"code cell {index} is tagged raises-exception: papermill stops there; use try"
        if re.search(
            r"filterwarnings\(\s*['\"]ignore['\"]\s*\)|simplefilter\(\s*['\"]ignore", text
        ):
            yield f"code cell {index} hides every warning"
        if (cell["outputs"] or cell["execution_count"]) and "keep_output" not in tags(cell):
            yield f"code cell {index} was committed with its output"
        try:
            ast.parse(text)
        except SyntaxError as error:
            yield f"code cell {index} is not Python: {error}"


def about_headings(cells, *, writes):
    found = headings(cells)
    titles = [words for level, words, _ in found if level == 1]
    sections = [words for level, words, _ in found if level == 2]
    if len(titles) != 1:
        yield f"it has {len(titles)} headings of the first level, not one"
    if len(sections) < 6:
        yield f"its {len(sections)} sections do not read as a summary"
    for words in sorted(set(sections)):
        if sections.count(words) > 1:
            yield f"two sections are called {words!r}"
        if words.lower().rstrip(".:") in EMPTY_HEADINGS:
            yield f"the heading {words!r} says nothing"
    yield from about_the_end(cells, found, writes=writes)


def about_the_end(cells, found, *, writes):
    starts = {words.lower(): index for level, words, index in found if level == 2}

    def section(word):
        return next((index for words, index in starts.items() if word in words), None)

    fails = section("if this fails")
    if fails is None:
        yield "it has no section 'If this fails'"
    else:
        text = "\n".join(source(cell) for cell in cells[fails : fails + 2])
        if not re.search(r"^\|.*message.*\|.*cause.*\|.*fix.*\|", text, re.I | re.M):
            yield "its section 'If this fails' has no table message | cause | fix"
    for word in ("exercise", "recall", "you now have"):
        if section(word) is None:
            yield f"it has no section about {word!r}"
    # 07 and 10 are no stages: they write files of their own.
    writing = re.compile(r"\.stage\(|folder=folder|onnxgraph\.save\(|onnx_path=")
    written = [index for index, cell in enumerate(cells) if writing.search(source(cell))]
    exercises = section("exercise")
    if writes and exercises is not None and (not written or written[-1] > exercises):
        yield "its exercises come before the artefact is written"
    if not any("next" in source(cell).lower() for cell in cells[-3:]):
        yield "it does not end on what is next"


def books():
    return sorted(FOLDER.glob("*.ipynb"))


def test_there_are_the_notebooks_of_the_six_stages_and_those_beside_them():
    assert [path.stem for path in books()] == TITLES


@pytest.mark.parametrize("path", books(), ids=lambda path: path.stem)
def test_a_notebook_has_the_form(path):
    assert path.stat().st_size <= MAX_BYTES
    assert list(complaints(path.stem, json.loads(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("path", books(), ids=lambda path: path.stem)
def test_papermill_can_say_what_each_parameter_is(path):
    """`papermill --help-notebook` reads line by line, and stumbles over a `=` in a comment."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = next(source(one) for one in cells if "parameters" in tags(one))
    declared = [statement.target.id for statement in ast.parse(text).body]
    shown = papermill.inspect_notebook(str(path))
    assert list(shown) == declared
    assert all(one["help"] for one in shown.values())


# -- the checker itself ------------------------------------------------------------------------


def cell(text, kind="markdown", **others):
    extra = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "source": text, "metadata": {}, **extra, **others}


def good():
    card = "# 03 · Convert a graph\n\nKernel · Reads · Writes · Minutes · You will be able to"
    cells = [
        cell(card),
        cell('from nbhelpers import kernel\nkernel.require("convert")', "code"),
        cell('NAME: str = "x"  # the handoff', "code", metadata={"tags": ["parameters"]}),
        cell("## A graph is built node by node"),
        cell("## Transposes disappear"),
        cell('with handoff.stage("conversion") as stage:\n    pass', "code"),
        cell("## If this fails\n\n| message | cause | fix |\n| --- | --- | --- |"),
        cell("## Exercises"),
        cell("## Recall"),
        cell("## You now have\n\nNext: 04"),
    ]
    for number, one in enumerate(cells):
        one["id"] = f"c{number}"
    metadata = {"kernelspec": {"name": "convert", "language": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def said(book):
    return " / ".join(complaints("03_conversion", book))


def test_a_good_notebook_has_no_complaints():
    assert said(good()) == ""


@pytest.mark.parametrize(
    ("index", "text", "complaint"),
    [
        (0, "# Conversion", "its first line is not '# 03 · Verb phrase'"),
        (0, "# 03 · Convert a graph", "its card does not say: kernel, reads"),
        (1, "import os", 'does not call kernel.require("convert")'),
        (2, 'name: str = "x"  # c', "its parameter name is not in capitals"),
        (2, 'NAME: str = "x"', "its parameter NAME has no comment"),
        (2, 'NAME = "x"  # c', "is no typed assignment"),
        (3, "## Setup", "the heading 'Setup' says nothing"),
        (3, "## Transposes disappear", "two sections are called"),
        (3, "no heading", "do not read as a summary"),
        (3, "see /home/me/x", "an absolute path: /home/"),
        (5, "!ls", "a shell line or magic: !"),
        (5, "%pip install x", "a shell line or magic: %pip"),
        (5, "x\n" * 30, "has 31 lines"),
        (5, "", "is empty"),
        (5, "x = (", "is not Python"),
        (5, "widgets.interact(f, x=1)", "captures output in a widget"),
        (5, "warnings.filterwarnings('ignore')", "hides every warning"),
        (6, "## If this fails", "has no table message"),
        (6, "## Trouble", "it has no section 'If this fails'"),
        (8, "nothing", "it has no section about 'recall'"),
        (9, "## You now have", "does not end on what is next"),
    ],
)
def test_each_rule_is_noticed(index, text, complaint):
    book = copy.deepcopy(good())
    book["cells"][index]["source"] = text
    assert complaint in said(book)


def test_outputs_tags_kernels_ids_and_order_are_noticed():
    book = good()
    book["cells"][5].update(outputs=[{}], metadata={"tags": ["raises-exception"]}, id="c1")
    book["metadata"]["kernelspec"]["name"] = "python3"
    book["cells"].insert(3, book["cells"].pop(7))
    text = said(book)
    for complaint in (
        "was committed with its output",
        "papermill stops",
        "no ids of their own",
        "its kernel is 'python3', not 'convert'",
        "exercises come before the artefact is written",
    ):
        assert complaint in text
    book["cells"][6]["metadata"]["tags"] = ["keep_output"]
    assert "was committed" not in said(book)


def test_a_notebook_for_either_kernel_asks_for_either_and_need_not_write():
    book = good()
    book["cells"][0]["source"] = book["cells"][0]["source"].replace("03", "00")
    book["metadata"]["kernelspec"]["name"] = "train"
    del book["cells"][5]
    said = " / ".join(complaints("00_start_here", book))
    assert said == "its first code cell does not call kernel.require_either()"
    book["cells"][1]["source"] = "from nbhelpers import kernel\nkernel.require_either()"
    assert list(complaints("00_start_here", book)) == []
