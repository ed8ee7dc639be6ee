"""The user's own examples: in every form, and what is wrong with them is said."""

import numpy as np
import pytest

from graphcore.errors import GraphError, UnknownName
from graphcore.golden import Case, save_golden
from nbhelpers import onnxgraph
from onnxgraph.examples.reference import reference_runs


@pytest.fixture
def model(graph):
    return graph(
        "g (float[n, 3] x, int64[n] i) => (float[n, 3] y) { c = Cast<to = 1>(i) "
        "l = ReduceSum<keepdims = 0>(c) y = Mul(x, l) }"
    )


@pytest.fixture
def arrays(values):
    return {"x": values(4, 3), "i": np.arange(4)}


def ran(model, given):
    with onnxgraph.use_examples(given):
        return reference_runs(model)


def test_every_form_is_taken(model, arrays, tmp_path):
    np.savez(tmp_path / "one.npz", **arrays)
    save_golden(tmp_path / "golden.npz", [Case("a", arrays, {"y": arrays["x"]})])
    plain = {"x": arrays["x"].tolist(), "i": [0, 1, 2, 3]}
    forms = [
        arrays,
        [arrays],
        list(arrays.values()),
        plain,
        tmp_path / "one.npz",
        str(tmp_path / "golden.npz"),
    ]
    for form in forms:
        ((batch, feeds, outputs),) = ran(model, form)
        assert batch == 4 and outputs["y"].shape == (4, 3)
        np.testing.assert_array_equal(feeds["i"], arrays["i"])
        np.testing.assert_allclose(feeds["x"], arrays["x"])


def test_several_examples_are_several_runs(model, arrays):
    fewer = {name: value[:2] for name, value in arrays.items()}
    assert [batch for batch, *_ in ran(model, [arrays, fewer])] == [4, 2]
    assert [batch for batch, *_ in ran(model, [tuple(arrays.values()), tuple(fewer.values())])] == [
        4,
        2,
    ]


def test_examples_for_other_inputs_are_left_alone(model, arrays):
    assert [batch for batch, *_ in ran(model, {"other": arrays["x"]})] == [1, 3]
    assert [batch for batch, *_ in ran(model, None)] == [1, 3]
    assert [batch for batch, *_ in ran(model, "")] == [1, 3]


def test_what_is_wrong_is_said(model, arrays, tmp_path):
    with pytest.raises(UnknownName, match="no array in the examples for the input named 'i'"):
        ran(model, {"x": arrays["x"]})
    with pytest.raises(GraphError, match=r"'x' must be float32, but the array is float64"):
        ran(model, {**arrays, "x": arrays["x"].astype(float)})
    with pytest.raises(GraphError, match="for each of the 2 inputs"):
        ran(model, [arrays["x"]])
    (tmp_path / "no.npz").write_text("no")
    with pytest.raises(GraphError, match="cannot be read as examples"):
        ran(model, tmp_path / "no.npz")


def test_the_verb_after_is_not_touched(model, arrays):
    ran(model, arrays)
    assert [batch for batch, *_ in reference_runs(model)] == [1, 3]
