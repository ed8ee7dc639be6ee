"""What the receiver's scripts compute by: their verdicts, and loops of TensorFlow 1."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from graphcore import parity
from graphcore.errors import GraphError, first_line
from nbhelpers import convert, onnxgraph
from nbhelpers.convert.receiver import verify as script
from tests.convert.models import seeded
from tfgraph.comparing import reproduce as again
from tfgraph.runtimes import child, fetch
from tfgraph.runtimes.child import Child

WHOLE, PARTS = np.array([50000, 7]), np.array([[1 + 2j, 3]], np.complex64)
EDGES = np.array([[-np.inf, np.nan, 1.0], [np.inf, 2.0, 0.0]], np.float32)


@pytest.mark.parametrize(
    ("expected", "seen", "agrees"),
    [
        (WHOLE, WHOLE.copy(), True),
        (WHOLE, WHOLE - [4, 0], False),
        (np.uint8([0, 9]), np.uint8([1, 9]), False),
        (np.array([2**63], np.uint64), np.array([2**63 + 1], np.uint64), False),
        (np.array([True, False]), np.array([True, True]), False),
        (np.array(["cat", "dog"]), np.array(["cat", "dog"]), True),
        (np.array(["cat", "dog"]), np.array(["cat", "hog"]), False),
        (PARTS, PARTS.copy(), True),
        (PARTS, PARTS + np.complex64(1e-2j), False),
        (EDGES, EDGES.copy(), True),
        (EDGES, -EDGES, False),
        (EDGES, np.where(np.isnan(EDGES), np.float32(5), EDGES), False),
        (np.float32(3), np.float32(np.nan), False),
        (np.float32(3), np.float32(np.inf), False),
        (np.float32([3, 0]), np.float32([3.0001, 0]), True),
        (np.float16([8, 1]), np.float16([8, 1.005]), True),
        (np.float16([8, 1]), np.float16([8, 1.1]), False),
        (np.zeros((2, 0), np.float32), np.zeros((2, 0), np.float32), True),
    ],
)
def test_the_script_judges_as_the_workbook_does(expected, seen, agrees):
    coarse = parity.COARSE.get(np.asarray(expected).dtype.name, 0.0)
    allowed = max(parity.TOLERANCE, coarse)
    found = script.compare(np.asarray(expected), np.asarray(seen), allowed, coarse)
    row = parity.compare({"y": expected}, {"y": seen}).rows[0]
    assert found[0] is agrees and (row.status == "ok") is agrees
    assert again.verdict(np.asarray(expected), np.asarray(seen), parity.TOLERANCE)[0] == agrees
    if np.isfinite(row.largest_difference):
        assert found[1:] == (row.largest_difference, row.relative, row.labels_agree)


def test_the_script_says_what_is_wrong_and_not_where_it_was_noticed():
    message = (
        "Graph execution error:\n\nDetected at node save/RestoreV2 defined at (most recent call "
        'last):\n  File "/here/verify.py", line 5, in <module>\n\nFailed to find any files.\n\t'
        " [[{{node save/RestoreV2}}]] [Op:__inference_pruned_191]"
    )
    for error, said in (
        (ValueError(message), "Failed to find any files"),
        (ValueError(), "ValueError"),
    ):
        assert script.said(error) == first_line(error) == said


def looping():
    """A loop with a constant so large that it is fed: three times x @ w."""
    info = helper.make_tensor_value_info
    number, truth, rows = onnx.TensorProto.INT64, onnx.TensorProto.BOOL, onnx.TensorProto.FLOAT
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["a", "w"], ["b"]),
            helper.make_node("Identity", ["c"], ["d"]),
        ],
        "body",
        [info("i", number, []), info("c", truth, []), info("a", rows, ["batch", 40])],
        [info("d", truth, []), info("b", rows, ["batch", 40])],
        [numpy_helper.from_array(seeded(40, 40) / 6, "w")],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)],
        "g",
        [info("x", rows, ["batch", 40])],
        [info("y", rows, ["batch", 40])],
        [numpy_helper.from_array(np.array(3), "n")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_a_loop_of_tensorflow_1_is_computed_and_a_runtime_that_has_ended_says_so(legacy):
    model = looping()
    made = convert.onnx2tf(model, None, target="tf1.4")
    tf = convert.tensorflow()
    here = fetch.Graph(tf, *fetch.split_weights(tf.compat.v1, made.graph_def))
    there = Child(made.graph_def, legacy[0].name)
    for batch in (1, 3):
        x = seeded(batch, 40, seed=batch)
        expected = onnxgraph.run_onnx(model, {"x": x})
        for runtime in (here, there):
            (y,) = runtime.run([made.outputs["y"]], {made.inputs["x"]: x})
            parity.compare(expected, {"y": y}, title=runtime.title).check()
    there._process._program.process.kill()
    for _ in range(2):
        with pytest.raises(
            GraphError, match=r"1.4.1 crashed \(SIGKILL: the system .*Open the graph again"
        ):
            there.run([made.outputs["y"]], {made.inputs["x"]: x})


def test_an_old_runtime_that_takes_too_long_is_ended_and_the_limit_can_be_changed(
    legacy, monkeypatch
):
    monkeypatch.setattr(child, "TIMEOUT", 0.3)
    made = convert.onnx2tf(looping(), None, target="tf1.4", verify=False)
    with pytest.raises(
        GraphError,
        match=r"1\.4\.1 gave no answer in 0\.3 s.*slow, set .* NBHELPERS_PATIENCE=2 to wait",
    ):
        Child(made.graph_def, legacy[0].name)


def test_a_while_loop_with_its_constant_inside():
    tf = convert.tensorflow()
    v1, w = tf.compat.v1, seeded(40, 40) / 6
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default() as graph:
            x = v1.placeholder(tf.float32, [None, 40], name="x")
            _, y = v1.while_loop(
                lambda i, a: i < 3, lambda i, a: (i + 1, a @ tf.constant(w)), [tf.constant(0), x]
            )
            tf.identity(y, name="y")
    finally:
        v1.enable_control_flow_v2()
    held = fetch.Graph(tf, *fetch.split_weights(v1, graph.as_graph_def()))
    for batch in (1, 3):
        x = seeded(batch, 40, seed=batch)
        assert np.allclose(held.run(["y:0"], {"x:0": x})[0], x @ w @ w @ w, atol=1e-5)
