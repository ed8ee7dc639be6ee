"""Damaged graphs of TensorFlow: one sentence each, and the process lives."""

from types import SimpleNamespace

import numpy as np
import pytest

from graphcore.errors import GraphError
from nbhelpers import convert
from tfgraph.graphs import run
from tfgraph.savedmodels import checkpoint, loading

tf = convert.tensorflow()


def graph(make):
    with tf.Graph().as_default() as made:
        make()
    return made.as_graph_def()


def plain():
    x = tf.compat.v1.placeholder(tf.float32, [None, 3], "x")
    w = tf.constant(np.arange(6, dtype=np.float32).reshape(3, 2), name="w")
    tf.reshape(tf.matmul(x, w, name="product"), [-1, 2], name="y")


def damaged(name, how):
    found = graph(plain)
    how(next(node for node in found.node if node.name == name))
    return found


def with_size(size):
    return lambda node: node.attr["value"].tensor.tensor_shape.dim.add(size=size)


def other_type(node):
    node.attr["value"].tensor.dtype = 3


DAMAGED = {
    "'product' .MatMul. has 1 inputs and takes 2": ("product", lambda node: node.input.pop()),
    "'product' .MatMul. has 302 inputs": ("product", lambda n: n.input.extend(["w"] * 300)),
    "'product' .MatMul. lacks the attribute 'T'": ("product", lambda node: node.attr.pop("T")),
    "has the attribute 'transpose_a' of another kind than bool": (
        "product",
        lambda node: node.attr["transpose_a"].CopyFrom(node.attr["T"]),
    ),
    "'w' .Const. has another type than its value": ("w", other_type),
    "'w' .Const. has the shape 3×2×-1, which no value has": ("w", with_size(-1)),
    "would take 2.458e.04 GiB": ("w", with_size(2**40)),
    "has the shape 3×2×2 of 48 bytes, and 24 bytes": ("w", with_size(2)),
}


@pytest.mark.parametrize("words", DAMAGED)
def test_a_node_that_is_not_of_its_ops_form_is_refused(words, tmp_path):
    found = damaged(*DAMAGED[words])
    path = tmp_path / "graph.pb"
    path.write_bytes(found.SerializeToString())
    for verb in (
        lambda: convert.run_tf(found, {"x": np.ones((1, 3), np.float32)}),
        lambda: convert.tf2onnx(found, None),
        lambda: convert.build_saved_model(path, tmp_path / "saved"),
    ):
        with pytest.raises(GraphError, match=words) as caught:
            verb()
        assert str(caught.value).endswith("the file was changed or damaged: make it again.")
    assert list(tmp_path.iterdir()) == [path]


def test_a_graph_that_ends_its_process_is_one_sentence():
    def division():
        x = tf.compat.v1.placeholder(tf.float32, [None, 4, 4, None], "x")
        w = tf.compat.v1.placeholder_with_default(
            np.zeros((1, 1, 0, 5), np.float32), [1, 1, None, 5]
        )
        tf.nn.conv2d(x, w, 1, "SAME", name="y")

    found = graph(division)
    with pytest.raises(GraphError, match=r"crashed \(SIGFPE\)|failed to run"):
        convert.run_tf(found, {"x": np.ones((1, 4, 4, 0), np.float32)})
    assert convert.run_tf(graph(plain), {"x": np.ones((1, 3), np.float32)})["y"].tolist() == [
        [6, 9]
    ]


def test_a_loop_without_an_end_is_stopped(monkeypatch):
    monkeypatch.setattr(run, "TIMEOUT", 2.0)

    def endless():
        x = tf.compat.v1.placeholder(tf.float32, [], "x")
        tf.while_loop(lambda a: a < 1, lambda a: a * 1, [x], name="y")

    with pytest.raises(
        GraphError, match="gave no result in 2 s in TensorFlow, in a process of its own"
    ):
        convert.run_tf(graph(endless), {"x": np.float32(0)})


def test_a_checkpoint_folder_whose_state_is_damaged_says_what_to_give(tmp_path):
    (tmp_path / "checkpoint").write_bytes(b"\xff\xfe not a state")
    with pytest.raises(GraphError, match="should name the last checkpoint, but cannot be read"):
        convert.open_graph(tmp_path)


def test_a_saver_whose_names_are_numbers_is_one_sentence():
    def saver():
        w = tf.compat.v1.get_variable("w", [2], use_resource=False)
        tf.compat.v1.train.Saver([w])

    found = graph(saver)
    assert checkpoint.saved_as(found)["w"].name == "w"
    names = next(node for node in found.node if node.name.endswith("RestoreV2/tensor_names"))
    names.attr["value"].tensor.CopyFrom(tf.make_tensor_proto([1]))
    names.attr["dtype"].type = tf.int32.as_datatype_enum
    with pytest.raises(GraphError, match=r"does not state what .*holds int32, not texts"):
        checkpoint.saved_as(found)


def test_a_signature_that_is_no_function_is_one_sentence():
    with pytest.raises(GraphError, match="signature 'serve' is not a function in this SavedModel"):
        loading.signature_function(SimpleNamespace(signatures={"serve": {}}), "serve")
