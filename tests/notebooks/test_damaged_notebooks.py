"""Notebooks and kernelspecs that are damaged: one sentence before the first kernel starts."""

import json

import pytest

from graphcore.errors import Refusal
from nbhelpers import kernelspecs
from nbhelpers.workbook.notebook_files import read_book
from nbhelpers.workbook.plan import find_notebooks, interpreter

CELL = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": ["NAME: str = 'a'"]}
BOOK = {"cells": [CELL], "metadata": {"kernelspec": {"name": "train"}}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        json.dumps(BOOK).encode()[:-5],
        json.dumps([BOOK]).encode(),
        json.dumps({**BOOK, "cells": {}}).encode(),
        json.dumps({**BOOK, "metadata": []}).encode(),
        json.dumps({**BOOK, "cells": [{**CELL, "source": 5}]}).encode(),
        json.dumps({**BOOK, "cells": [{**CELL, "metadata": []}]}).encode(),
        json.dumps({**BOOK, "cells": [{**CELL, "metadata": {"tags": [None]}}]}).encode(),
    ],
)
def test_each_bad_notebook_is_one_sentence(tmp_path, content):
    path = tmp_path / "01_export.ipynb"
    path.write_bytes(content)
    with pytest.raises(Refusal, match=r"not a whole notebook: .* Get it again, as it was"):
        read_book(path)
    with pytest.raises(Refusal, match=r"01_export.ipynb is not a notebook that names its kernel"):
        find_notebooks(tmp_path)


@pytest.mark.parametrize("source", ["NAME = (", "\0", "(" * 5000])
def test_parameters_that_are_no_python_are_one_sentence(tmp_path, source):
    book = {**BOOK, "cells": [{**CELL, "source": source}]}
    (tmp_path / "01_export.ipynb").write_text(json.dumps(book))
    with pytest.raises(Refusal, match=r"is not a notebook that names its kernel \(.+\)\. Get it"):
        find_notebooks(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[", "5", "{}", '{"argv": []}', '{"argv": 5}', '{"argv": [5]}', "[" * 100_000]
)
def test_a_damaged_kernelspec_is_one_sentence(tmp_path, monkeypatch, content):
    folder = tmp_path / "kernels" / "broken"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(content)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    with pytest.raises(Refusal, match="Run `make setup`"):
        interpreter("broken")
    assert kernelspecs.find("broken") is None
