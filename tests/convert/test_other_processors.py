"""The comparison also runs on processors of the other kind: with oneDNN, and without it."""

import re

import numpy as np
import pytest

from graphcore.errors import GraphError
from graphcore.worker_process import Ended
from nbhelpers import convert
from tests.convert.models import graph_of, seeded
from tfgraph.comparing import processors
from tfgraph.graphs.frozen import split_weights
from tfgraph.native import native


def held(make, *, onednn, **inputs):
    """Return (the graph that `make` makes of placeholders, held by a worker; its GraphDef)."""
    definition = graph_of(make, **inputs)
    return processors.OtherProcessor(split_weights(definition), ["y:0"], onednn), definition


def test_a_conversion_is_compared_with_onednn_and_without(network):
    titles = [report.title for report in convert.onnx2tf(network, None).parity]
    both = {f"tf2 {way} oneDNN against onnxruntime" for way in ("with", "without")}
    assert {title.partition(",")[0] for title in titles} == both
    assert {re.search(r"batch \d", title)[0] for title in titles} == {"batch 1", "batch 3"}
    assert len(titles) == 4
    assert processors.words(native.onednn()) in titles[0]


@pytest.mark.parametrize("onednn", [False, True])
def test_a_worker_computes_what_this_process_does(onednn):
    weights = seeded(3, 3, 8, 8)  # large enough to be sent beside the graph

    def make(tf, x):
        return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, weights, 1, "SAME"), seeded(8)))

    other, definition = held(make, onednn=onednn, x=("float32", (None, 7, 5, 8)))
    for batch in (1, 3):
        x = seeded(batch, 7, 5, 8)
        (seen,) = other.run({"x:0": x}).values()
        np.testing.assert_allclose(seen, convert.run_tf(definition, {"x": x})["y"], atol=1e-4)
    other.close()


def test_what_only_one_kind_of_processor_computes_fails_on_the_other():
    def groups(tf, x):
        return tf.nn.bias_add(tf.nn.conv2d(x, seeded(1, 1, 4, 6), 1, "SAME"), seeded(6))

    def norm(tf, x):
        y = tf.nn.conv2d(x, seeded(1, 1, 8, 6), 1, "SAME")
        ones = np.ones(6, np.float32)
        options = {"mean": seeded(6), "variance": ones, "is_training": False}
        return tf.tanh(tf.compat.v1.nn.fused_batch_norm(y, ones, seeded(6), **options)[0])

    x = seeded(2, 5, 3, 8)
    for make, bad in ((groups, False), (norm, True)):
        good, _ = held(make, onednn=not bad, x=("float32", (None, 5, 3, 8)))
        assert good.run({"x:0": x})["y:0"].shape == (2, 5, 3, 6)
        other, _ = held(make, onednn=bad, x=("float32", (None, 5, 3, 8)))
        how = "with oneDNN" if bad else "without oneDNN"
        with pytest.raises(
            GraphError, match=f"^On processors where TensorFlow works {how}, .*node"
        ):
            other.run({"x:0": x})


def test_values_of_every_kind_pass():
    import ml_dtypes

    def joined(tf, text):
        return tf.strings.join([text, "!"])

    other, _ = held(joined, onednn=False, text=("string", (None,)))
    (seen,) = other.run({"text:0": np.array([b"a", b"\xff"], object)}).values()
    assert list(seen) == [b"a!", b"\xff!"]
    for dtype in ("bool", "int64", "float16", "complex64", ml_dtypes.bfloat16):
        other, _ = held(lambda tf, x: tf.identity(x), onednn=False, x=(dtype, ()))
        (seen,) = other.run({"x:0": np.array(1, dtype)}).values()
        assert seen.shape == () and seen.dtype == np.dtype(dtype) and seen == np.array(1, dtype)


def test_a_worker_that_crashes_is_reported_and_replaced(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text("import os\nos.abort()\n")
    worker = native.Worker(onednn=False, script=script)
    with pytest.raises(Ended, match=r"^crashed \(SIGABRT\)$"):
        worker.ask(("drop", 0), timeout=20)
    first = worker.start()
    first.wait()
    assert worker.start() is not first
    worker.end()


def test_a_graph_is_held_again_when_its_process_has_ended():
    other, _ = held(lambda tf, x: x * 2.0, onednn=False, x=("float32", (None,)))
    x = np.array([1, 2], np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(*other.run({"x:0": x}).values(), x * 2)
        other._worker.end()
    other.close()


def test_graphs_that_one_process_holds_stay_apart():
    first, _ = held(lambda tf, x: x * 2.0, onednn=False, x=("float32", (None,)))
    second, _ = held(lambda tf, x: x * 3.0, onednn=False, x=("float32", (None,)))
    x = np.array([1, 2], np.float32)
    for _ in range(2):
        for other, times in ((first, 2), (second, 3)):
            np.testing.assert_array_equal(*other.run({"x:0": x}).values(), x * times)
