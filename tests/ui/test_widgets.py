"""Widgets without a framework: what is shown headless, in JupyterLab, and after a choice."""

import dataclasses
import subprocess
import sys

import ipywidgets
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from graphcore import parity
from graphcore.errors import GraphError
from graphcore.golden import Case
from nbhelpers.ui import parity_picture, table, value_line, value_picture
from nbhelpers.ui.widgets import Shown, parity_dashboard
from nbhelpers.ui.widgets.display import Handlers, answer, said, text_block

VIEW = "application/vnd.jupyter.widget-view+json"


@dataclasses.dataclass
class Panel:
    box: ipywidgets.Box


@pytest.fixture
def cases():
    draw = np.random.default_rng(0)
    return [
        Case(
            f"batch{size}",
            {"images": draw.random((size, 1, 9, 7), np.float32)},
            {
                "digit": draw.standard_normal((size, 10)).astype(np.float32),
                "map": draw.standard_normal((size, 2, 3, 5)).astype(np.float32),
            },
        )
        for size in (1, 5)
    ]


@pytest.fixture
def given(cases):
    exact = {case.name: dict(case.outputs) for case in cases}
    wrong = {name: dict(outputs) for name, outputs in exact.items()}
    wrong["batch5"]["digit"] = exact["batch5"]["digit"].copy()
    wrong["batch5"]["digit"][3] = wrong["batch5"]["digit"][3][::-1]
    return {"exact": exact, "wrong": wrong, "one head": {"batch1": {"map": exact["batch1"]["map"]}}}


def test_headless_there_is_no_widget_and_the_same_to_see(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    shown = Shown(table([{"op": "<b>"}]), lambda: pytest.fail("a widget was made"))
    shell = InteractiveShell.instance()
    data = shell.display_formatter.format(shown)[0]
    InteractiveShell.clear_instance()
    assert VIEW not in data
    assert "&lt;b&gt;" in data["text/html"] and data["text/plain"] == repr(shown.static)


def test_in_jupyterlab_the_widget_stands_beside_the_static_view(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook")
    shown = Shown(table([{"op": "Conv"}]), lambda: Panel(ipywidgets.VBox()))
    data = shown._repr_mimebundle_()
    assert data[VIEW]["model_id"] == shown.panel.box.model_id
    assert data["text/plain"] == repr(shown.static)


def test_a_call_is_not_called_by_its_own_changes():
    one, two = ipywidgets.IntText(0), ipywidgets.IntText(0)
    handlers, calls = Handlers(), []

    def follow(new):
        calls.append(new)
        two.value = new + 1
        one.value = new + 2

    handlers.on_change(follow, one, two)
    one.value = 5
    assert (calls, one.value, two.value) == ([5], 7, 6)
    two.value = 9
    assert calls == [5, 9]


def test_an_answer_is_a_result_or_the_reason_and_nothing_is_swallowed():
    place = ipywidgets.HTML()
    answer(place, lambda: "done")
    assert place.value == "done"

    def refuse():
        raise GraphError("There is no tensor named '<script>'.")

    answer(place, refuse)
    assert "&#x27;&lt;script&gt;&#x27;" in place.value and "role='alert'" in place.value
    with pytest.raises(ZeroDivisionError):
        answer(place, lambda: str(1 / 0))
    assert "This failed with ZeroDivisionError" in place.value
    assert said("") == "" and text_block("<i>\n") == "<pre>&lt;i&gt;\n</pre>"


def test_the_worst_sample_and_the_agreement_of_labels():
    expected = np.array([[0.0, 1.0], [2.0, 1.0], [0.0, 3.0]])
    actual = np.array([[0.1, 1.0], [1.0, 2.0], [0.0, 3.0]])
    assert parity.worst_sample(expected, actual) == 1
    assert parity.label_agreement(expected, actual) == (2, 3)
    assert parity.label_agreement(expected[:, :1], actual[:, :1]) is None
    actual[2, 0] = np.nan
    assert parity.worst_sample(expected, actual) == 2
    assert parity.worst_sample(np.float32(1), np.float32(2)) == 0


def test_the_picture_of_a_comparison_shows_the_worst_sample(cases, given):
    case = cases[1]
    picture = parity_picture(
        case.outputs["digit"],
        given["wrong"]["batch5"]["digit"],
        "$x$",
        sample=case.inputs["images"],
    )
    titles = [axes.get_title() for axes in picture.axes]
    assert titles[0] == "values of sample 3, the worst"
    assert titles[3] == "input of sample 3, the worst"
    assert picture.get_suptitle().startswith(r"\$x\$ · mismatch (off by ")
    assert picture.get_suptitle().endswith("labels agree in 4 of 5")
    heights = [bar.get_height() for bar in picture.axes[0].patches]
    assert np.allclose(heights[:10], case.outputs["digit"][3])
    assert np.allclose(heights[10:], case.outputs["digit"][3][::-1])
    assert sum(bar.get_height() for bar in picture.axes[1].patches) == 50
    assert picture._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("expected", "actual", "words"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), "shape (expected (2, 3), got (2, 4))"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "ok (empty)"),
        (np.float32(2), np.float32(2), "ok, 0.0e+00 of the largest value"),
        (np.array([[1.0]]), np.array([[np.nan]]), "nan (1 values are NaN or infinite)"),
        (np.array(["a"]), np.array(["b"]), "mismatch (1 of 1 values differ"),
    ],
)
def test_what_cannot_be_drawn_is_said(expected, actual, words):
    picture = parity_picture(expected, actual, "t")
    assert words in picture.get_suptitle()
    assert picture._repr_png_()


def test_a_dashboard_begins_with_the_worst_and_follows_the_choice(cases, given):
    shown = parity_dashboard(cases, given)
    assert shown.static.get_suptitle().startswith("wrong · case batch5 · output digit · mismatch")
    panel = shown.panel
    assert (panel.run.value, panel.case.value, panel.output.value) == ("wrong", "batch5", "digit")
    assert "labels agree in 4 of 5" in panel.overview.value
    first = panel.picture.value
    panel.run.value = "one head"
    assert (panel.case.options, panel.output.options) == (("batch1",), ("map",))
    assert panel.picture.value != first and "digit" in panel.overview.value
    panel.run.value = "exact"
    assert (panel.case.options, panel.output.options) == (("batch1", "batch5"), ("digit", "map"))
    assert (panel.case.value, panel.output.value) == ("batch1", "map")


def test_a_dashboard_of_nothing_known_is_refused(cases):
    with pytest.raises(GraphError, match="no reference because nothing was run"):
        parity_dashboard(cases, {})
    with pytest.raises(GraphError, match="no reference for other"):
        parity_dashboard(cases, {"run": {"other": {"y": np.zeros(1)}}})


def test_a_value_in_a_line_and_in_a_picture():
    value = np.array([[0.0, 1.0, np.nan]], np.float32)
    assert value_line(value) == (
        "float32 1×3 · 0 to 1, mean 0.5, zero 50% · 1 values are NaN or infinite"
    )
    assert value_line(np.array("x")) == "str32 scalar · 1 values"
    bars = value_picture(value, "$v$").axes[0].patches
    assert sum(bar.get_height() for bar in bars) == 2
    assert "no histogram of str" in value_picture(np.array(["x"])).axes[0].texts[0].get_text()


def test_importing_makes_no_widget():
    code = "import nbhelpers.ui, ipywidgets.widgets.widget as w; print(len(w._instances))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "0\n"
