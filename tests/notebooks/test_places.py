"""Notebooks find the checkout from any directory, and say how to write elsewhere."""

import ast
import json
from pathlib import Path

import nbformat
import papermill
import pytest

from graphcore.errors import Refusal
from nbhelpers import places
from nbhelpers.handoff import Handoff

BOOKS = sorted((places.CHECKOUT / "notebooks").glob("[0-9]*.ipynb"))


def first_code(path):
    """Return the code of a notebook up to the cell that asks for a place, its parameters first."""
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"]), cell["metadata"].get("tags", [])
            if "places." in "".join(cell["source"]):
                return


def asked(path):
    """Return the parameters of a notebook and the calls by which it asks where files go."""
    code = [source for source, _ in first_code(path)]
    parameters = next(source for source, tags in first_code(path) if "parameters" in tags)
    calls = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(code[-1]))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("places.")
    ]
    return parameters, calls


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_the_places_of_a_notebook_are_in_the_checkout_from_any_directory(
    path, tmp_path, monkeypatch
):
    checkout = tmp_path / "checkout"
    monkeypatch.setattr(places, "CHECKOUT", checkout)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    parameters, calls = asked(path)
    names = {}
    exec(parameters, names)
    assert not any(str(value).startswith("..") for value in names.values())
    for call in calls:
        assert eval(call, {**names, "places": places}).is_relative_to(checkout)
    assert calls or "places.CHECKOUT" in path.read_text()
    assert list(Path.cwd().iterdir()) == []


def test_the_first_cells_of_01_begin_a_handoff_of_the_checkout_from_another_directory(
    tmp_path, outputs
):
    book = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "train", "display_name": "train", "language": "python"}},
        cells=[nbformat.v4.new_code_cell(source) for source, _ in first_code(BOOKS[1])],
    )
    nbformat.write(book, tmp_path / "01.ipynb")
    papermill.execute_notebook(
        tmp_path / "01.ipynb", tmp_path / "done.ipynb", cwd=tmp_path, progress_bar=False
    )
    assert f"Handoff {places.CHECKOUT / 'handoffs' / 'multitask_resnet18'}" in outputs(
        tmp_path / "done.ipynb"
    )
    assert {each.name for each in tmp_path.iterdir()} == {"01.ipynb", "done.ipynb"}


@pytest.mark.parametrize("path", BOOKS[8:], ids=lambda path: path.stem)
def test_a_checkout_that_cannot_be_written_is_one_sentence_whose_advice_works(
    path, tmp_path, monkeypatch
):
    (tmp_path / "checkout").write_text("")
    monkeypatch.setattr(places, "CHECKOUT", tmp_path / "checkout")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    names, codes = {}, json.loads(path.read_text())["cells"]
    source = next(
        line.strip()
        for cell in codes
        for line in "".join(cell["source"]).splitlines()
        if line.startswith("folder = places.results")
    )
    parameter = source.rpartition('parameter="')[2].removesuffix('")')
    names = {parameter: "", "places": places}
    with pytest.raises(
        Refusal, match=r"cannot be written: not a directory\. Choose one .*"
    ) as said:
        exec(source, names)
    advice = str(said.value).partition("for example ")[2].partition(" (~")[0]
    exec(f"{advice}\n{source}", names)
    assert names["folder"].is_dir() and names["folder"].parent == tmp_path / "home"


def test_01_says_before_it_begins_that_handoffs_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "CHECKOUT", tmp_path)
    monkeypatch.setattr(places.os, "access", lambda *_: False)
    parameters, calls = asked(BOOKS[1])
    names = {"places": places, "Handoff": Handoff}
    exec(parameters, names)
    sentence = r"handoffs cannot be written: you may not write there\. .* HANDOFFS = \"~/handoffs\""
    with pytest.raises(Refusal, match=sentence):
        eval(calls[0], names)
    assert places.cache().is_relative_to(Path.home()) or "XDG_CACHE_HOME" in places.os.environ
