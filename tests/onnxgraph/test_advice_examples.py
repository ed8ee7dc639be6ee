"""No input is found that the model takes: each verb says how to give one, and then works."""

import re

import numpy as np
import pytest

from graphcore.errors import GraphError
from nbhelpers import onnxgraph
from nbhelpers.onnxgraph import run_onnx

PICK = """g (int64[{batch}, 3] i, float[{batch}, 3] x) => (float[{batch}, 3] y)
<float[6] w = {{1, 2, 3, 4, 5, 6}}, int64 far = {{1000}}{more}> {{ j = Add(i, far) v = Gather(w, j)
    {last} }}"""
FREE = PICK.format(batch="n", more="", last="y = Mul(v, x)")
FIXED = PICK.format(batch=1, more=", int64[2] t = {1, 3}", last="m = Mul(v, x) y = Reshape(m, t)")


def row(*places, x=1.0):
    return {"i": np.array([places]), "x": np.array([[x, 2, 3]], np.float32)}


def follow(advice, verb, examples):
    """Run the `with` that the advice shows, with the examples for what it calls arrays."""
    shown = re.search(r"`(with onnxgraph\.use_examples\(.*\):)`", advice).group(1)
    arrays = iter([value for example in examples for value in example.values()])
    filled = re.sub("array", lambda _: "next(arrays)", shown)
    spaces = {"onnxgraph": onnxgraph, "arrays": arrays, "verb": verb}
    exec(f"{filled}\n    result = verb()", spaces)
    return spaces["result"]


VERBS = {
    "same": lambda model: onnxgraph.same(model, model),
    "lower_opset": lambda model: onnxgraph.lower_opset(model, 12),
    "free_dims": lambda model: onnxgraph.free_dims(model, {"i": {1: "k"}, "x": {1: "k"}}),
    "make_batch_dynamic": onnxgraph.make_batch_dynamic,
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_takes_the_examples(graph, verb):
    model = graph(FREE)
    with pytest.raises(GraphError, match="No example input could be made") as no:
        VERBS[verb](model)
    done = follow(str(no.value), lambda: VERBS[verb](model), [row(-1000, -999, -1001)])
    result = getattr(done, "model", model)
    np.testing.assert_array_equal(run_onnx(result, row(-995, -1000, -998))["y"], [[6, 2, 9]])


def test_simplify_takes_the_examples(graph):
    pytest.importorskip("onnxsim")
    model = graph(FREE)
    back = onnxgraph.simplify(model)
    assert back.rolled_back
    again = follow(back.reason, lambda: onnxgraph.simplify(model), [row(-999, -999, -1001)])
    assert not again.rolled_back


def test_make_batch_dynamic_takes_two_rows(graph):
    model = graph(FIXED)
    with pytest.raises(GraphError, match=r"No example input .* Give two examples") as no:
        onnxgraph.make_batch_dynamic(model)
    refusal = str(no.value)
    two = [row(-1000, -999, -998), row(-995, -996, -1001, x=4)]

    def verb():
        return onnxgraph.make_batch_dynamic(model)

    made = follow(refusal, verb, two).model
    given = {name: np.concatenate([each[name] for each in two]) for name in two[0]}
    expected = np.concatenate([run_onnx(model, each)["y"] for each in two])
    np.testing.assert_array_equal(run_onnx(made, given)["y"], expected)
    with pytest.raises(GraphError, match="all the same") as no:
        follow(refusal, verb, two[:1] * 2)
    assert follow(str(no.value), verb, two).reports


def test_rows_that_mix_are_seen_in_the_examples(graph):
    model = graph(
        """g (int64[1, 2] i) => (float[1, 2] y)
        <float[4] w = {1, 2, 3, 4}, int64 far = {1000}> { j = Add(i, far) v = Gather(w, j)
            m = ReduceMax<axes = [0], keepdims = 1>(v) y = Sub(v, m) }"""
    )
    two = [{"i": np.array([[-1000, -998]])}, {"i": np.array([[-999, -997]])}]
    with onnxgraph.use_examples(two), pytest.raises(GraphError, match="ReduceMax"):
        onnxgraph.make_batch_dynamic(model)


def test_make_batch_dynamic_searches_as_the_others_do(graph):
    """Lengths must be positive: rows of zeros and ones are not taken."""
    model = graph(
        """g (int64[1] n, float[1, 4] x) => (float[1, 4] y) <int64[1] one = {1},
        int64[1] zero = {0}, int64[2] t = {1, 4}> { a = Sub(n, one) b = Mod(zero, n)
        c = Cast<to = 1>(b) d = Unsqueeze<axes = [1]>(c) e = Add(x, d) y = Reshape(e, t) }""",
        opset=11,
    )
    made = onnxgraph.make_batch_dynamic(model).model
    given = {"n": np.array([2, 5, 3]), "x": np.ones((3, 4), np.float32)}
    np.testing.assert_array_equal(run_onnx(made, given)["y"], np.ones((3, 4)))
