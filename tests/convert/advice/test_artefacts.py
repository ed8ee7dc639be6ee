"""What is advised about SavedModels, Triton and graphs of other names: followed to the letter."""

import re

import numpy as np
import pytest

from graphcore.errors import GraphError
from nbhelpers import convert
from nbhelpers.convert.savedmodels.triton import triton_files
from tests.convert import triton_rules
from tests.convert.models import parse, seeded
from tests.convert.toonnx.sources import graph, tf, v1


def two_inputs():
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    tf.add(x, v1.placeholder(tf.float32, [None, 3], name="z"), name="y")


def written(make, folder, **options):
    """Write a graph and sign it."""
    path = folder / "graph.pb"
    path.write_bytes(graph(make).SerializeToString())
    return convert.build_saved_model(path, folder / "1", **options)


def said(make, folder, **options):
    with pytest.raises(GraphError) as caught:
        written(make, folder, **options)
    return str(caught.value)


@pytest.mark.parametrize("keys", [("in", "x"), ("self", "self_"), ("a.b", "a_b"), ("a_b", "a b")])
def test_names_that_python_can_call_are_offered_for_all_inputs(keys, tmp_path):
    message = said(two_inputs, tmp_path, inputs=dict(zip(keys, ("x:0", "z:0"), strict=True)))
    inputs = eval(re.search(r"inputs=(\{.*\})", message)[1])
    written(two_inputs, tmp_path, inputs=inputs)
    fed = {key: seeded(2, 3, seed=seed) for seed, key in enumerate(inputs)}
    got = convert.call_saved_model(tmp_path / "1", fed)["y"]
    np.testing.assert_array_equal(got, sum(fed.values()))


def test_inputs_and_outputs_that_were_left_out(tmp_path):
    message = said(two_inputs, tmp_path, inputs={"x": "x:0"})
    added = eval(re.search(r"Add it to its inputs: (\{[^}]*\})", message)[1])
    written(two_inputs, tmp_path, inputs={"x": "x:0", **added})
    x, z = seeded(2, 3), seeded(2, 3, seed=1)
    with pytest.raises(GraphError, match=r"also takes z\. Feed them too"):
        convert.call_saved_model(tmp_path / "1", {"x": x})
    np.testing.assert_array_equal(
        convert.call_saved_model(tmp_path / "1", {"x": x, "z": z})["y"], x + z
    )
    assert "has no outputs. Name at least one tensor" in said(two_inputs, tmp_path, outputs={})
    assert written(two_inputs, tmp_path, outputs={"sum": "y:0"}).signatures


def test_two_signatures_get_names_of_their_own(tmp_path):
    other = convert.Signature({"x": "x:0", "z": "z:0"}, {"y": "y:0"})
    message = said(two_inputs, tmp_path, more={"serving_default": other})
    assert "Give each its own name" in message
    assert len(written(two_inputs, tmp_path, more={"other": other}).signatures) == 2


def second_part(x):
    return tf.split(x, 2, axis=1, name="halves")[1]


TRITON = {
    "a scalar": (
        lambda x: tf.reduce_mean(x),
        "give it one in the model",
        lambda x: tf.reshape(tf.reduce_mean(x), [1]),
    ),
    "another type": (
        lambda x: tf.cast(x, tf.complex64),
        "cast it in the model",
        lambda x: tf.math.real(tf.cast(x, tf.complex64)),
    ),
    "a second result": (
        second_part,
        "put an identity behind it in the model",
        lambda x: tf.identity(second_part(x)),
    ),
}


@pytest.mark.parametrize("case", TRITON)
def test_what_triton_cannot_give_is_changed_in_the_model(case, tmp_path):
    before, words, after = TRITON[case]

    def make(function):
        def build():
            x = v1.placeholder(tf.float32, [None, 4], name="x")
            made.append(function(x).name)

        made = []
        graph(build)
        return build, made[0]

    build, name = make(before)
    _, refused = triton_files("net", {"tf2": written(build, tmp_path, outputs={"y": name})})
    assert words in refused["graph/tf2/config.pbtxt"]
    build, name = make(after)
    model = written(build, tmp_path, outputs={"y": name})
    texts, refused = triton_files("net", {"tf2": model})
    assert not refused
    config = triton_rules.read(texts["graph/tf2/config.pbtxt"])
    assert not list(triton_rules.graph_problems(config, model.graph_def))


def test_a_graph_fed_inside_is_served_as_a_saved_model(tmp_path):
    def build():
        x = v1.placeholder(tf.float32, [None, 6], name="x")
        tf.nn.relu(tf.identity(x * 2.0, name="inner"), name="y")

    texts, refused = triton_files("net", {"tf2": written(build, tmp_path, inputs={"x": "inner:0"})})
    assert refused["graph/tf2/config.pbtxt"].endswith("Serve the SavedModel.")
    assert list(texts) == ["savedmodel/tf2/config.pbtxt"]


def test_tensors_of_a_graph_with_other_names_are_told_apart():
    model = parse("g (float[2] a, float[2] b) => (float[2] y) { y = Add(a, b) }")

    def build():
        held = tf.constant([1.0, 2.0], name="held")
        tf.add(v1.placeholder(tf.float32, [2], name="p"), held, name="sum")

    feeds = {"a": seeded(2), "b": seeded(2, seed=1)}
    with pytest.raises(GraphError) as caught:
        convert.compare_layers(model, graph(build), feeds)
    call = re.search(r"say which tensor is which: (traced\(.*\))\.", str(caught.value))[1]
    assert call == "traced(graph, model, tensors={'a': 'name:0'})"
    tensors = {"a": "p:0", "b": "held:0", "y": "sum:0"}
    source = convert.traced(graph(build), model, tensors=tensors)
    assert convert.compare_layers(model, source, feeds).ok


def test_graphs_alone_are_ordered_by_a_model_and_fed():
    model = parse("g (float[2] x) => (float[2] y) { h = Relu(x) y = Neg(h) }")
    made = convert.onnx2tf(model, None, verify=False)
    with pytest.raises(GraphError, match="give the ONNX model as model="):
        convert.compare_layers(made, made, {"x": seeded(2)})
    with pytest.raises(GraphError, match="pass feeds="):
        convert.compare_layers(made, made, model=model)
    assert convert.compare_layers(made, made, {"x": seeded(2)}, model=model).ok
