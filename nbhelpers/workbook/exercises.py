"""`python -m nbhelpers.workbook.exercises`: copies of the notebooks with blanks for the solutions.

The solutions are written, run and tested in the notebooks (cells tagged `solution`). This module
blanks them: the part between `### BEGIN SOLUTION` and `### END SOLUTION`, or, without these marks,
everything before the first assert. The asserts stay, because they are the learner's self-check.
"""

import ast
import copy
import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from graphcore.atomic_files import write_text
from graphcore.errors import Refusal
from nbhelpers.places import CHECKOUT
from nbhelpers.workbook.notebook_files import read_book

NOTEBOOKS = CHECKOUT / "notebooks"

EXERCISES = NOTEBOOKS / "exercises"
"""The folder of the copies. JupyterLab shows it, git ignores it, and `make clean` leaves it."""

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"

_KEY = "nbhelpers"


def blanked(source: str, *, later: str = "") -> str:
    """Return the source of a solution with blanks, and a check that fails until they are filled.

    Args:
        source: the solution, as Python.
        later: the cells below it, which may read what it assigns.

    Raises:
        Refusal: the marks are not in pairs, or no assigned name is read again.
    """
    before, solution, after = _split(source)
    kept = [line for line in solution if line.startswith(("import ", "from "))]
    names = _assigned(ast.parse("\n".join(solution)))
    checks, shown = _halves("\n".join(after))
    here = [name for name in names if name in _read(ast.parse(checks))]
    wanted = here or [name for name in names if name in _read(ast.parse(later))]
    if not wanted:
        raise Refusal(
            "A solution must assign a name that its check reads, but none of "
            f"{', '.join(names) or '-'} is read below it. End the part to blank with {END!r} "
            "before the check."
        )
    blanks = [f"{name} = None  # your answer; it may take more lines" for name in wanted]
    filled = " and ".join(f"{name} is not None" for name in wanted)
    check = f'assert {filled}, "not solved yet: {", ".join(wanted)}"'
    imports = [*kept, ""] if kept else []
    if _read(ast.parse(shown)) & {*names} - {*wanted}:
        shown = ""  # it would show a value that does not exist now
    return "\n".join([*before, *imports, *blanks, check, checks, shown]).strip("\n")


def for_learners(book: dict, title: str) -> dict:
    """Return a copy of a notebook whose solutions are blank.

    Args:
        book: the notebook, as JSON has it.
        title: its file name without the ending.

    Raises:
        Refusal: a solution cannot be blanked. The message names the cell.
    """
    made = copy.deepcopy(book)
    cells = made["cells"]
    for index, cell in enumerate(cells):
        tags = cell["metadata"].get("tags", [])
        source = "".join(cell["source"])
        if "solution" in tags:
            later = "\n".join(_code(cells[index + 1 :]))
            try:
                source = blanked(source, later=later)
            except (Refusal, SyntaxError) as error:
                raise Refusal(f"{title}, cell {cell.get('id', index)}: {error}") from error
            cell["metadata"]["tags"] = ["exercise" if tag == "solution" else tag for tag in tags]
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
        cell["source"] = source.splitlines(keepends=True)
    cells[0]["source"] += [
        "\n\n",
        f"A copy to learn with: the solutions are blank. They are in `../{title}.ipynb`.",
    ]
    made["metadata"][_KEY] = {"blanks": _digest(made)}
    return made


def write_exercises(folder: Path = EXERCISES, notebooks: Path = NOTEBOOKS) -> list[str]:
    """Write a copy of each notebook into `folder`, and return one sentence about each.

    A copy in which a learner has worked is left alone.

    Raises:
        Refusal: a notebook is damaged, or a solution cannot be blanked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said = []
    for path in sorted(notebooks.glob("[0-9]*.ipynb")):
        made = for_learners(read_book(path), path.stem)
        place = folder / path.name
        state = _state(place, made)
        if state in ("new", "older"):
            write_text(place, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
        said.append(f"{path.name}: {_SENTENCES[state]}")
    return said


_SENTENCES = {
    "new": "written",
    "older": "written again: the notebook has changed, and you had not begun",
    "same": "up to date",
    "begun": "left alone: you have worked in it. Rename it to get a fresh copy beside it",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the copies and report. Return 0, or 1 if one cannot be made."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    folder = Path(given[0]) if given else EXERCISES
    try:
        lines = write_exercises(folder)
    except Refusal as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join([*lines, f"Open them in JupyterLab (make lab): {folder}"]))
    return 0


def _state(place: Path, made: dict) -> str:
    if not place.exists():
        return "new"
    try:
        there = read_book(place)
        untouched = there["metadata"][_KEY]["blanks"] == _digest(there)
    except (Refusal, LookupError, TypeError):
        return "begun"
    if not untouched:
        return "begun"
    return "same" if _digest(there) == _digest(made) else "older"


def _digest(book: dict) -> str:
    """Return the sha256 of the text of all cells, without outputs."""
    text = [(cell["cell_type"], "".join(cell["source"])) for cell in book["cells"]]
    return hashlib.sha256(json.dumps(text).encode()).hexdigest()


def _code(cells: Iterable[dict]) -> list[str]:
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def _split(source: str) -> tuple[list[str], list[str], list[str]]:
    """Return the lines before the solution, the solution's lines, and the lines after it."""
    lines = source.splitlines()
    if lines.count(BEGIN) == lines.count(END) == 1 and lines.index(BEGIN) < lines.index(END):
        first, last = lines.index(BEGIN), lines.index(END)
        return lines[:first], lines[first + 1 : last], lines[last + 1 :]
    if BEGIN in lines or END in lines:
        raise Refusal(f"{BEGIN!r} and {END!r} must occur once each, in this order.")
    checks = [node.lineno for node in ast.parse(source).body if _is_check(node)]
    first = checks[0] - 1 if checks else len(lines)
    return [], lines[:first], lines[first:]


def _is_check(statement: ast.stmt) -> bool:
    """Whether a statement is an assert, or calls a function of that name, as in np.testing."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return ast.unparse(statement.value.func).rpartition(".")[2].startswith("assert")
    return isinstance(statement, ast.Assert)


def _assigned(node: ast.AST) -> list[str]:
    """Return the names that a piece of code assigns for later code, in order."""
    found: list[str] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            found.append(child.name)
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            found.append(child.id)
        elif not isinstance(child, ast.comprehension | ast.Lambda):  # their names stay inside
            found += _assigned(child)
    return list(dict.fromkeys(found))


def _read(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _halves(source: str) -> tuple[str, str]:
    """Split a source after its last check."""
    lines = source.splitlines()
    ends = [node.end_lineno or 0 for node in ast.parse(source).body if _is_check(node)]
    last = max(ends, default=0)
    return "\n".join(lines[:last]), "\n".join(lines[last:])


if __name__ == "__main__":
    sys.exit(main())
