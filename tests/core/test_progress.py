"""Any long step shows its progress where somebody looks, and leaves nothing behind."""

import io
import sys
import time
import types

import pytest

from graphcore import progress
from graphcore.progress import stage
from nbhelpers.progress import show_in_cells


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(progress, "AFTER", 0.05)
    monkeypatch.setattr(progress, "EVERY", 0.01)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def work(seconds=0.2):
    with stage("converting"), stage("comparing", 4) as inner:
        inner.reached(1)
        time.sleep(seconds)


def test_a_terminal_shows_the_stage_and_its_part(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    work()
    said = sys.stderr.getvalue()
    assert "\r\x1b[Kconverting · comparing 1/4 · 0 s" in said
    assert said.endswith("\r\x1b[K"), "the line goes with the stage"


def test_nothing_is_said_of_what_is_quick_or_not_watched(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    work(0)
    assert sys.stderr.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    work()
    assert sys.stderr.getvalue() == ""


def test_a_cell_of_jupyterlab_shows_a_bar(monkeypatch):
    shown = []

    class Handle:
        update = shown.append

    def display(bar, display_id):
        shown.append(bar)
        return Handle

    module = types.SimpleNamespace(display=display, HTML=lambda text: text)
    for name, each in {
        "IPython": types.SimpleNamespace(display=module),
        "IPython.display": module,
    }.items():
        monkeypatch.setitem(sys.modules, name, each)
    monkeypatch.setenv("JPY_SESSION_NAME", "a.ipynb")
    monkeypatch.setattr(progress, "_makers", [])
    show_in_cells()
    with stage("loading <b>", 4) as loading:
        loading.reached(1)
        time.sleep(0.2)
    assert '<progress value="0.250"></progress> loading &lt;b&gt; 1/4' in shown[0]
    assert shown[-1] == ""


def test_an_error_or_an_interrupt_ends_the_stage(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), stage("converting"):
            raise error
    assert progress._stack == []


def test_a_function_can_be_a_stage():
    @stage("adding")
    def add(one, two):
        """Add."""
        return one + two, str(progress._stack[-1])

    assert add(1, two=2) == (3, "adding") and add(1, 1) == (2, "adding")
    assert add.__doc__ == "Add."
