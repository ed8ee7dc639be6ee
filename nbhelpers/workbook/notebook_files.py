"""Notebooks as JSON, read only if they have the parts that every notebook has."""

import json
from pathlib import Path

from graphcore.errors import Refusal
from graphcore.json_forms import check
from graphcore.reading import check_regular, reading

_CELL = {"cell_type": str, "metadata": {"tags?": [str]}, "source": (str, [str])}
_BOOK = {"cells": [_CELL], "metadata": {"kernelspec?": {"name": str}}}


def read_book(path: Path, *, wrong: str = "is not a whole notebook: it cannot be read") -> dict:
    """Return a notebook.

    Args:
        path: the `.ipynb` file.
        wrong: the words that follow the file's name if it cannot be read.

    Raises:
        Refusal: the file does not exist, or is damaged.
    """
    with reading(path, wrong, error=Refusal, advice="Get it again, as it was committed"):
        check_regular(path)
        book = json.loads(path.read_text(encoding="utf-8"))
        check(book, _BOOK)
        return book
