"""The widgets of the kernel convert: a graph is searched, a signature is put together by hand."""

import numpy as np
import pytest

from graphcore.errors import GraphError
from nbhelpers import convert
from nbhelpers.ui.widgets import signature_builder, tensor_explorer
from nbhelpers.ui.widgets.search import found_tensors
from tfgraph.graphs.run import run_view
from tfgraph.savedmodels.writing import signature_text


@pytest.fixture(scope="module")
def graph_def():
    tf = convert.tensorflow()
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, [None, 4], name="x")
        hidden = tf.nn.relu(tf.matmul(x, np.eye(4, 3, dtype=np.float32)), name="body/out")
        tf.nn.softmax(hidden, name="scores")
    return graph.as_graph_def()


@pytest.fixture
def view(graph_def):
    return convert.GraphView(graph_def)


@pytest.fixture
def fed():
    return np.random.default_rng(0).random((3, 4), np.float32)


def test_neighbours_are_tensors_of_the_graph_itself(view, fed):
    before = view.neighbours("body/out")
    assert before == (("MatMul:0",), ("scores:0",))
    run_view(view, {"x": fed}, fetch=["body/out:0"])
    assert view.neighbours("body/out:0") == before
    with pytest.raises(KeyError, match="closest are 'body/out:0'"):
        view.neighbours("body/outt")


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"name": "BODY"}, ["body/out:0"]),
        ({"op": "Softmax"}, ["scores:0"]),
        ({"shape": "?,3", "order": "name"}, ["MatMul/b:0", "MatMul:0", "body/out:0", "scores:0"]),
        ({"shape": "(4, 3)"}, ["MatMul/b:0"]),
        ({"shape": "scalar"}, []),
    ],
)
def test_tensors_are_found_by_what_is_typed(view, asked, names):
    assert [tensor.name for tensor in found_tensors(view, **asked)] == names


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"name": "("}, r"'\(' is not one: missing \)"),
        ({"shape": "?,a"}, r"sizes separated by commas, \? for any, but this is '\?,a'"),
    ],
)
def test_what_cannot_be_searched_is_refused(view, asked, sentence):
    with pytest.raises(GraphError, match=sentence):
        found_tensors(view, **asked)


def test_the_explorer_searches_walks_and_fetches(view, fed):
    shown = tensor_explorer(view, feeds={"x:0": fed}, op="Relu")
    assert "1 of 5 tensors" in repr(shown) and "body/out:0" in repr(shown)
    panel = shown.panel
    assert (panel.picked, panel.rows.value) == ("body/out:0", "body/out:0")
    panel.op.value = ""
    assert panel.found[0].name == "x:0"
    panel.order.value = "name"
    panel.down.value = True
    assert panel.picked == "x:0" and panel.found[-1].name == "MatMul/b:0"
    panel.readers.value = "MatMul:0"
    assert panel.picked == panel.rows.value == "MatMul:0"
    assert panel.reads.options == ("x:0", "MatMul/b:0")
    panel.fetch.click()
    assert "float32 3×3" in panel.value.value
    assert bytes(panel.histogram.value).startswith(b"\x89PNG")
    panel.name.value = "["
    assert "role='alert'" in panel.count.value and panel.picked == "MatMul:0"


def test_an_explorer_without_feeds_says_what_is_missing(view):
    panel = tensor_explorer(view, op="Softmax").panel
    panel.fetch.click()
    assert "inputs x:0 were not fed" in panel.value.value


def test_twenty_thousand_nodes_send_one_page():
    tf = convert.tensorflow()
    graph = tf.Graph()
    with graph.as_default():
        y = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
        one = tf.constant(1.0)
    made = graph.as_graph_def()
    last = y.op.name
    for number in range(20_000):
        node = made.node.add(name=f"block{number // 100}/add{number}", op="AddV2")
        node.input.extend([last, one.op.name])
        node.attr["T"].type = tf.float32.as_datatype_enum
        last = node.name
    panel = tensor_explorer(convert.GraphView(made)).panel
    assert (len(panel.found), len(panel.rows.options), panel.page.max) == (20_002, 25, 801)
    panel.page.value = 801
    assert panel.rows.options[-1][1] == "block199/add19999:0"
    panel.name.value = r"block7/.*50:0$"
    assert [value for _, value in panel.rows.options] == ["block7/add750:0"]
    panel.name.value = "^Const:0$"
    assert len(panel.readers.options) == 200


def test_a_signature_is_put_together_built_and_called(tmp_path, graph_def, fed):
    path = convert.save_graph_def(graph_def, tmp_path / "frozen.pb")
    expected = {"scores:0": convert.run_tf(path, {"x": fed})["scores"]}
    inputs, outputs = {"pixels": "x:0"}, {"scores": "scores:0"}
    shown = signature_builder(path, inputs, outputs, feeds={"x:0": fed}, expected=expected)
    assert repr(shown).splitlines()[-1].split() == ["output", "scores", "scores:0"]
    panel = shown.panel
    panel.lines["input"][0].client.value = "images"
    assert "images=tf.constant(images)" in panel.client.value
    panel.more.value = "body/outt"
    panel.add.click()
    assert "The closest are &#x27;body/out:0&#x27;" in panel.result.value
    panel.more.value = "body/out"
    panel.add.click()
    assert panel.signature.outputs == {"scores": "scores:0", "out": "body/out:0"}
    panel.call.click()
    assert "3 × 3" in panel.result.value and ">ok<" in panel.result.value
    panel.build.click()
    assert "output out → body/out:0  float32 (batch,3)" in panel.result.value
    panel.lines["output"][1].client.value = "scores"
    assert "Two outputs are called &#x27;scores&#x27;" in panel.refusal.value
    for line in panel.lines["output"]:
        line.chosen.value = False
    panel.build.click()
    assert "has no outputs. Choose at least one" in panel.result.value
    panel.lines["output"][0].chosen.value = True
    panel.name.value = " "
    assert "The signature has no name" in panel.refusal.value


def test_the_text_of_a_signature_is_what_is_written(tmp_path, graph_def, view):
    from google.protobuf import text_format
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

    signature = convert.Signature({'say "x"': "x:0"}, {"scores": "scores:0"})
    read = text_format.Parse(signature_text(view, signature), meta_graph_pb2.SignatureDef())
    path = convert.save_graph_def(graph_def, tmp_path / "frozen.pb")
    sides = {"inputs": signature.inputs, "outputs": signature.outputs}
    convert.build_saved_model(path, tmp_path / "1", **sides)
    message = saved_model_pb2.SavedModel()
    message.ParseFromString((tmp_path / "1" / "saved_model.pb").read_bytes())
    assert message.meta_graphs[0].signature_def["serving_default"] == read
