"""The exercises: blanks fail their self-check as given, solutions fill them, work is not lost."""

import ast
import builtins
import json

import pytest

from graphcore.errors import Refusal
from nbhelpers.workbook.exercises import (
    EXERCISES,
    NOTEBOOKS,
    blanked,
    for_learners,
    main,
    write_exercises,
)
from nbhelpers.workbook.plan import ROOT

BOOKS = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def source(cell):
    return "".join(cell["source"])


def cells_tagged(book, tag):
    return [cell for cell in book["cells"] if tag in cell["metadata"].get("tags", [])]


def begins(blank):
    """Return a blank up to the check that it is filled: all that can run without the notebook."""
    lines = blank.splitlines()
    last = next(i for i, line in enumerate(lines) if "not solved yet" in line)
    wanted = [line.split(" = None")[0] for line in lines[:last] if " = None  # your" in line]
    return wanted, "\n".join(
        line for line in lines[: last + 1] if " = None" in line or "not s" in line
    )


def names_read(text):
    return {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}


def names_bound(text):
    """Return the names that a piece of code binds somewhere."""
    found = {"display"}
    for n in ast.walk(ast.parse(text)):
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store):
            found.add(n.id)
        elif isinstance(n, ast.arg):
            found.add(n.arg)
        elif isinstance(n, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler):
            found.add(n.name)
        elif isinstance(n, ast.Import | ast.ImportFrom):
            found |= {(each.asname or each.name).split(".")[0] for each in n.names}
    return found


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_every_exercise_has_a_blank_that_fails_as_given_and_that_its_solution_fills(path):
    book = read(path)
    made = for_learners(book, path.stem)
    solutions, blanks = cells_tagged(book, "solution"), cells_tagged(made, "exercise")
    assert len(solutions) == len(blanks) >= 1
    assert not cells_tagged(made, "solution")
    for solution, blank in zip(solutions, blanks, strict=True):
        wanted, beginning = begins(source(blank))
        assert wanted
        with pytest.raises(AssertionError, match=f"not solved yet: {wanted[0]}"):
            exec(beginning, {})  # our own notebook's
        # The check is the solution's own, and the solution gives every name that it asks for.
        check = source(blank).split("not solved yet", 1)[1].split("\n", 1)[-1]
        assert check in source(solution) or "\n" not in source(blank).split("not solved yet", 1)[1]
        assert set(wanted) <= names_bound(source(solution))
        # There is one place to answer in: no other cell asks for the same name.
        others = [source(cell) for cell in made["cells"] if cell is not blank]
        assert not [n for n in wanted if any(f"\n{n} = None" in f"\n{text}" for text in others)]


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_blank_reads_nothing_that_was_taken_out(path):
    book = read(path)
    made = for_learners(book, path.stem)
    known = set(dir(builtins))
    for cell, blank in zip(book["cells"], made["cells"], strict=True):
        if cell["cell_type"] == "code":
            known |= names_bound(source(blank))
            assert names_read(source(blank)) <= known, cell["id"]


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_copy_says_what_it_is_and_finds_the_same_handoffs(path):
    made = for_learners(read(path), path.stem)
    assert f"`../{path.stem}.ipynb`" in source(made["cells"][0])
    cells = zip(
        cells_tagged(made, "parameters"), cells_tagged(read(path), "parameters"), strict=True
    )
    assert all(source(copy) == source(cell) for copy, cell in cells)
    assert all(not cell.get("outputs") for cell in made["cells"])


MARKED = """\
graph = 1
### BEGIN SOLUTION
for i in range(3):
    n = i
### END SOLUTION
assert n == 2
n"""


def test_marks_say_what_is_taken_out_and_without_them_it_is_what_stands_before_the_first_assert():
    line = " = None  # your answer; it may take more lines"
    assert blanked(MARKED) == (
        f'graph = 1\nn{line}\nassert n is not None, "not solved yet: n"\nassert n == 2\nn'
    )
    assert blanked("import os\na = [b for b in 'x']\nc = 2\nassert a and 'b'\na") == (
        f"import os\n\na{line}\nassert a is not None, \"not solved yet: a\"\nassert a and 'b'\na"
    )
    told = blanked("seen = 3\nnp.testing.assert_allclose(seen, 3)")
    assert told.endswith('"not solved yet: seen"\nnp.testing.assert_allclose(seen, 3)')
    assert blanked("answer = 3", later="assert answer == 3").startswith("answer = None")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nassert 2 == 2", "must assign a name that its check reads, but none of a"),
        ("### END SOLUTION\na = 1\n### BEGIN SOLUTION", "must occur once each, in this order"),
        ("### BEGIN SOLUTION\na = 1", "must occur once each"),
    ],
)
def test_a_solution_that_cannot_be_blanked_is_refused(text, said):
    with pytest.raises(Refusal, match=said):
        blanked(text)


def test_work_is_never_overwritten_and_what_was_not_begun_follows_the_notebook(tmp_path):
    notebooks, folder = tmp_path / "notebooks", tmp_path / "exercises"
    notebooks.mkdir()
    for name in ("00_start_here.ipynb", "03_conversion.ipynb"):
        (notebooks / name).write_bytes((NOTEBOOKS / name).read_bytes())
    first, second = folder / "00_start_here.ipynb", folder / "03_conversion.ipynb"

    assert all(line.endswith(": written") for line in write_exercises(folder, notebooks))
    bytes_before = first.read_bytes(), second.read_bytes()
    assert all(line.endswith(": up to date") for line in write_exercises(folder, notebooks))
    assert (first.read_bytes(), second.read_bytes()) == bytes_before

    work = read(first)
    cells_tagged(work, "exercise")[0]["source"] = ["silent = '1, -1'"]
    first.write_text(json.dumps(work))
    run = read(second)  # run, but not changed
    cells_tagged(run, "exercise")[0]["outputs"] = [{"output_type": "stream", "text": "x"}]
    second.write_text(json.dumps(run))
    mine = first.read_bytes()
    for path in notebooks.glob("*.ipynb"):
        newer = read(path)
        newer["cells"][5]["source"] = ["newer"]
        path.write_text(json.dumps(newer))
    said = write_exercises(folder, notebooks)
    assert "left alone: you have worked in it" in said[0] and first.read_bytes() == mine
    assert "the notebook has changed" in said[1] and source(read(second)["cells"][5]) == "newer"

    second.write_text("not a notebook")
    assert "left alone" in write_exercises(folder, notebooks)[1]


@pytest.mark.parametrize("text", ['{"cells": [', "[]", '{"cells": [{"source": []}]}', "null"])
def test_a_damaged_notebook_is_named_in_a_sentence(tmp_path, text):
    (tmp_path / "00_start_here.ipynb").write_text(text)
    with pytest.raises(Refusal, match=r"00_start_here.ipynb is not a whole notebook: .*again"):
        write_exercises(tmp_path / "exercises", tmp_path)


def test_the_command_says_where_they_are_and_git_does_not_see_them(tmp_path, capsys):
    assert main([str(tmp_path / "mine")]) == 0
    said = capsys.readouterr().out
    assert "03_conversion.ipynb: written" in said and str(tmp_path / "mine") in said
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert f"/{EXERCISES.relative_to(ROOT).as_posix()}/" in ignored
