import importlib

import numpy as np
import pytest

from nbhelpers import kernel, onnxgraph
from onnxgraph.simplifying import simplifier

FOLDABLE = """
    g (float[batch, 4] x, float[batch, 4] w) => (float[batch, 4] second, float[batch, 4] first)
    <float two = {2.0}> {
        s = Add(two, two)
        i = Identity(x)
        first = Mul(i, s)
        second = Add(first, w)
    }
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Replace the simplifier by a script of the test; the environment may lack onnxsim."""

    def replace(body):
        path = tmp_path / "worker.py"
        path.write_text("import sys, time, os, onnx\n" + body, encoding="utf-8")
        monkeypatch.setattr(simplifier, "WORKER", path)
        monkeypatch.setattr(kernel, "has", lambda name: True)

    return replace


def test_constants_are_folded_and_the_interface_stays(graph, values):
    model = graph(FOLDABLE)
    if not kernel.has("onnxsim"):  # the kernel convert: the verb says so and gives the model back
        assert onnxgraph.simplify(model).reason.startswith("onnxsim is not installed")
        return
    result = onnxgraph.simplify(model)
    assert list(onnxgraph.op_histogram(result.model)) == ["Add", "Mul"]
    assert not result.rolled_back
    assert [(each.before, each.passed, each.changed) for each in result.rounds] == [
        (4, 2, True),
        (2, 2, False),
    ]
    assert "4 → 2 nodes" in repr(result)
    assert "round 2: 2 nodes, and nothing changes any more" in repr(result)
    assert onnxgraph.inputs(result.model) == onnxgraph.inputs(model)
    assert [spec.name for spec in onnxgraph.outputs(result.model)] == ["second", "first"]
    feeds = {"x": values(3, 4), "w": values(3, 4, seed=1)}
    for name, value in onnxgraph.run_onnx(model, feeds).items():
        np.testing.assert_array_equal(value, onnxgraph.run_onnx(result.model, feeds)[name])
    assert [report.title for report in result.reports] == ["batch 1", "batch 3"]
    again = onnxgraph.simplify(result.model)
    assert [each.changed for each in again.rounds] == [False]


def rolled_back(result, model):
    assert result.rolled_back
    assert result.model is model
    assert "4 → 4 nodes" in repr(result)
    return result.reason


def test_a_crash_does_no_harm(graph, worker):
    worker("os.kill(os.getpid(), 11)")
    model = graph(FOLDABLE)
    assert "crashed (SIGSEGV)" in rolled_back(onnxgraph.simplify(model), model)


def test_an_exception_is_told(graph, worker):
    worker("raise RuntimeError('no such pass')")
    model = graph(FOLDABLE)
    assert "RuntimeError: no such pass" in rolled_back(onnxgraph.simplify(model), model)


def test_a_hang_is_ended(graph, worker):
    worker("time.sleep(600)")
    model = graph(FOLDABLE)
    assert "stopped after 1 s without" in rolled_back(onnxgraph.simplify(model, timeout=1), model)


def test_another_result_is_rolled_back(graph, worker):
    worker(
        "m = onnx.load(sys.argv[1])\n"
        "m.graph.node[3].op_type = 'Sub'\n"
        "onnx.save(m, sys.argv[2])\nprint('round: 4 4 4 1')"
    )
    model = graph(FOLDABLE)
    result = onnxgraph.simplify(model)
    assert "gives other results: batch 1: 1 of 2" in (reason := rolled_back(result, model))
    assert "second: mismatch" in reason
    assert "rolled back to the original: the simplified model gives other results" in repr(result)


def test_another_interface_is_rolled_back(graph, worker):
    worker(
        "m = onnx.load(sys.argv[1])\n"
        "m.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1\n"
        "onnx.save(m, sys.argv[2])\nprint('round: 4 4 4 1')"
    )
    model = graph(FOLDABLE)
    assert "changed the inputs" in rolled_back(onnxgraph.simplify(model), model)


def test_a_broken_file_is_rolled_back(graph, worker):
    worker("open(sys.argv[2], 'wb').write(b'nonsense')\nprint('round: 4 4 4 1')")
    model = graph(FOLDABLE)
    assert "out.onnx is not an ONNX file" in rolled_back(onnxgraph.simplify(model), model)


def test_large_weights_are_kept_out_and_put_back(graph, values, monkeypatch, worker):
    worker(
        "m = onnx.load(sys.argv[1])\n"
        "assert 'w' in [value.name for value in m.graph.input], 'the weight came along'\n"
        "onnx.save(m, sys.argv[2])\nprint('noise')\nprint('round: 1 1 1 0')"
    )
    module = importlib.import_module("onnxgraph.simplifying.simplify")  # not the function
    monkeypatch.setattr(module, "HEAVY", 5)
    model = graph(
        "g (float[batch, 3] x) => (float[batch, 2] y) "
        "<float[3, 2] w = {1., 2., 3., 4., 5., 6.}> { y = MatMul(x, w) }"
    )
    model.producer_name = "the test"
    result = onnxgraph.simplify(model)
    assert not result.rolled_back, result.reason
    assert [spec.name for spec in onnxgraph.inputs(result.model)] == ["x"]
    assert result.model.producer_name == "the test"
    x = values(3, 3)
    np.testing.assert_array_equal(
        onnxgraph.run_onnx(result.model, {"x": x})["y"],
        onnxgraph.run_onnx(model, {"x": x})["y"],
    )
