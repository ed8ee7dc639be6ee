"""Graphs that were frozen in training: their switches decided, and advice that works."""

import subprocess

import numpy as np
import pytest

from graphcore.errors import ConversionError, GraphError
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.models import seeded
from tests.convert.toonnx.sources import graph, tf, v1
from tfgraph.runtimes import runtimes

TRAINING = """
import sys, numpy as np, tensorflow as tf
from tensorflow.python.framework import graph_util
tf.set_random_seed(1)
x = tf.placeholder(tf.float32, [None, 6, 6, 3], name="x")
phase = tf.placeholder(tf.bool, [], name="phase")
norm = dict(is_training=phase, decay=0.9, updates_collections=None, scale=True)
h = tf.contrib.layers.conv2d(x, 4, 3, normalizer_fn=tf.contrib.layers.batch_norm,
                             normalizer_params=norm)
y = tf.reduce_mean(h, [1, 2], name="y")
images = np.random.RandomState(0).standard_normal([5, 6, 6, 3]).astype("float32")
with tf.Session() as s:
    s.run(tf.global_variables_initializer())
    for _ in range(9): s.run(y, {x: images * 2 + 1, phase: True})
    g = graph_util.convert_variables_to_constants(s, s.graph_def, ["y"])
    open(sys.argv[1] + "/frozen.pb", "wb").write(g.SerializeToString())
    np.savez(sys.argv[1] + "/seen.npz", x=images, y=s.run(y, {x: images, phase: False}))
"""


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """Return a graph of TensorFlow 1.4 with updates in a branch, and what that computed."""
    known = {each.name: each for each in runtimes.runtimes()}
    if "tf1.4" not in known:
        pytest.skip("The runtime tf1.4 is not installed: run `make legacy`.")
    folder = tmp_path_factory.mktemp("frozen")
    command = [str(known["tf1.4"].python), "-c", TRAINING, str(folder)]
    done = subprocess.run(
        command, env=runtimes.clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "frozen.pb", dict(np.load(folder / "seen.npz"))


def test_updates_in_the_branch_that_is_not_taken_are_left_out(frozen):
    path, seen = frozen
    made = convert.tf2onnx(path, None, inputs=["x"], outputs=["y"], fixed={"phase": False})
    compare({"y": seen["y"]}, onnxgraph.run_onnx(made.model, {"x": seen["x"]})).check()
    assert made.proven


def test_updates_that_may_run_are_refused_with_their_switch(frozen):
    message = r"AssignMovingAvg' \(AssignSub\).*keeps no state.*fixed=\{\"phase\": False\}"
    with pytest.raises(GraphError, match=message):
        convert.tf2onnx(frozen[0], None, inputs=["x", "phase"], outputs=["y"])


def test_the_opset_that_is_advised_is_enough_for_all_nodes_at_once():
    def make():
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        places = v1.placeholder(tf.int32, [None, 1], name="places")
        rest = tf.math.floormod(tf.cumsum(x, 1), 3.0)
        tf.scatter_nd(places, rest, [5, 4], name="y")

    with pytest.raises(ConversionError, match=r"2 nodes at opset 10.* opset=16 has what they need"):
        convert.tf2onnx(graph(make), None, opset=10)
    assert convert.tf2onnx(graph(make), None, opset=16, batch="n").proven


def test_a_switch_of_unknown_rank_is_not_taken_for_a_picture():
    def make():
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        training = v1.placeholder(tf.bool, None, name="training")
        tf.identity(tf.cond(tf.reshape(training, []), lambda: x * 2, lambda: x), name="y")

    with pytest.raises(GraphError, match=r"looks like a switch.*fixed=\{\"training\": False\}"):
        convert.tf2onnx(graph(make), None)
    assert convert.tf2onnx(graph(make), None, inputs=["x"], fixed={"training": False}).proven
    assert convert.tf2onnx(graph(make), None, shapes={"training": ()}).proven


def test_what_is_printed_and_asserted_is_left_out():
    def make():
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        with tf.control_dependencies([v1.assert_less(x, 1e9)]):
            shown = tf.raw_ops.Print(input=x * 2, data=[x], message="x")
        tf.identity(shown + 1, name="y")

    made = convert.tf2onnx(graph(make), None, outputs=["y"])
    x = seeded(3, 4)
    compare({"y": x * 2 + 1}, onnxgraph.run_onnx(made.model, {"x": x})).check()
