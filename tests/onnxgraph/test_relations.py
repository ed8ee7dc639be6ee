"""Sizes that depend on each other are found, at sizes that show more than 1 would."""

import numpy as np
import onnx
import pytest

from graphcore.errors import GraphError
from nbhelpers import onnxgraph
from onnxgraph.examples.reference import reference_runs
from tests.onnxgraph.decoders import KINDS, decoder


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_decoders_get_a_mask_as_long_as_past_and_new_tokens(kind):
    for batch, feeds, _ in reference_runs(decoder(**kind)):
        total = feeds["attention_mask"].shape
        past, new = feeds["past_key"].shape[2], feeds["input_ids"].shape[1]
        assert total == (batch, past + new) and past > 1
        assert new == 1 if kind.get("new") == 1 else new > 1


def shapes(model, **options):
    return [
        {name: value.shape for name, value in feeds.items()}
        for _, feeds, _ in reference_runs(model, **options)
    ]


def test_products_and_halves_are_found(graph):
    model = graph(
        """g (float[b, n, 4] x, float[b, m, 4] y, float[b, k] z) => (float[b, n] s)
        <int64[3] pairs = {0, -1, 8}, int64[1] last = {2}> {
            halves = Reshape(x, pairs)
            a = ReduceSum<keepdims = 0>(halves, last)
            c = ReduceSum<keepdims = 0>(y, last)
            d = Add(a, c)
            s = Add(d, z)
        }"""
    )
    for each in shapes(model):
        assert each["x"][1] == 2 * each["y"][1] == 2 * each["z"][1] and each["z"][1] > 1


def test_the_user_states_a_relation_or_a_size(graph):
    """A mask of one is broadcast: nothing objects to it, so only the user can tell."""
    model = graph(
        """g (float[b, past, 4] x, float[b, new, 4] y, float[b, total, 1] w) => (float[b, t, 4] z) {
            xy = Concat<axis = 1>(x, y)
            z = Mul(xy, w)
        }"""
    )
    with onnxgraph.use_examples(symbols={"total": "past + new", "new": 3}):
        assert {each["y"][1] for each in shapes(model)} == {3}
        assert all(each["w"][1] == each["x"][1] + 3 for each in shapes(model))
    with onnxgraph.use_examples(symbols="total=past+new"):
        assert all(each["w"][1] == each["x"][1] + each["y"][1] for each in shapes(model))
    with (
        pytest.raises(GraphError, match="written name=number or name=sum"),
        onnxgraph.use_examples(symbols="total"),
    ):
        pass


def test_spelled_sums_hold_wherever_they_stand(graph):
    model = graph("g (float[m, 3] x, float[n, 3] y) => (float[m, 3] z) { z = Relu(x) }")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "2*n"
    assert all(each["x"][0] == 2 * each["y"][0] for each in shapes(model))


def test_long_inputs_are_tried():
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], strides=[160])
    sides = [
        [onnx.helper.make_tensor_value_info(name, 1, ["n", 1, size])]
        for name, size in (("x", "l"), ("y", "k"))
    ]
    weight = onnx.numpy_helper.from_array(np.ones((1, 1, 3001), np.float32), "w")
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "audio", *sides, [weight]))
    model.opset_import[0].version, model.ir_version = 17, 8
    sizes = [each["x"][2] for each in shapes(model)]
    assert min(sizes) >= 3001 and sizes[1] % 2 == 1


def test_a_sentence_says_what_was_tried_and_its_advice_works(graph):
    model = graph(
        """g (int64[n, k] i) => (float[n, k] y)
        <float[4] w = {1, 2, 3, 4}, int64 far = {1000}> {
            j = Add(i, far)
            y = Gather(w, j)
        }"""
    )
    with pytest.raises(GraphError, match=r"No example input .* Tried were the sizes .*48000") as no:
        onnxgraph.same(model, model)
    assert "examples={'i': array}" in str(no.value)
    with onnxgraph.use_examples({"i": np.full((2, 5), -1001)}):
        assert all(report.ok for report in onnxgraph.same(model, model))


def test_a_size_that_only_the_file_knows_is_found(graph):
    model = graph(
        "g (float[n, k] x) => (float[a, b] y) <int64[2] t = {-1, 1999}> { y = Reshape(x, t) }"
    )
    assert all(each["x"][1] % 1999 == 0 for each in shapes(model))
