"""onnxruntime runs in a process of its own: it may crash, and says the same as before."""

import math
import os
import signal

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper

from graphcore import worker_messages
from graphcore.errors import GraphError
from nbhelpers import onnxgraph
from onnxgraph.running import session_process
from onnxgraph.running.run import Runner


def model(*nodes, inputs, outputs, opset=17, **weights):
    """Return a model; inputs and outputs are name → (type, shape)."""
    values = [
        [helper.make_tensor_value_info(name, *kind) for name, kind in side.items()]
        for side in (inputs, outputs)
    ]
    tensors = [helper.make_tensor(n, *v) for n, v in weights.items()]
    graph = helper.make_graph(list(nodes), "g", *values, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def one(op, kind, shape=("n", 3), *, opset=17, inputs=1, **attributes):
    names = "abc"[:inputs]
    node = helper.make_node(op, list(names), ["y"], **attributes)
    given = dict.fromkeys(names, (kind, shape))
    return model(node, inputs=given, outputs={"y": (kind, shape)}, opset=opset)


@pytest.fixture
def stft():
    integer = TensorProto.INT64, ()
    return model(
        helper.make_node("STFT", ["s", "step", "", "length"], ["y"]),
        inputs={"s": (1, (1, 128, 1)), "step": integer, "length": integer},
        outputs={"y": (1, (1, "A", "B", 2))},
    )


def test_a_crash_is_one_sentence_and_open_models_live(stft, values):
    relu, other = Runner(one("Relu", 1)), Runner(stft)
    x = values(2, 3)
    np.testing.assert_array_equal(relu.run({"a": x})["y"], np.maximum(x, 0))
    feeds = {"s": values(1, 128, 1), "step": np.int64(8)}
    with pytest.raises(GraphError, match=r"onnxruntime crashed \(SIGFPE\) on the model, in a proc"):
        other.run({**feeds, "length": np.int64(0)})
    np.testing.assert_array_equal(relu.run({"a": x})["y"], np.maximum(x, 0))
    assert other.run({**feeds, "length": np.int64(16)})["y"].shape == (1, 15, 9, 2)


def test_an_example_is_found_behind_those_that_crash(stft):
    assert all(report.ok for report in onnxgraph.same(stft, stft))


@pytest.mark.parametrize("op", ["Min", "Max", "Sum", "Mean"])
def test_an_empty_name_in_a_variadic_input_ends_nothing(op, values):
    node = helper.make_node(op, ["a", "", "c"], ["y"])
    kind = 1, (3,)
    empty = model(node, inputs={"a": kind, "c": kind}, outputs={"y": kind}, opset=13)
    with pytest.raises(GraphError, match="onnxruntime"):
        onnxgraph.run_onnx(empty, {"a": values(3), "c": values(3)})


def test_one_process_serves_all_and_is_replaced_when_it_is_gone(values):
    runner, x = Runner(one("Relu", 1)), values(2, 3)
    first = session_process.start()
    runner.run({"a": x})
    assert session_process.start() is first
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    np.testing.assert_array_equal(runner.run({"a": x})["y"], np.maximum(x, 0))
    assert session_process.start().pid != first.pid


def test_an_interrupt_leaves_no_answer_for_the_next_run(values, monkeypatch):
    runner, x = Runner(one("Relu", 1)), values(2, 3)

    def interrupted(stream):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(worker_messages, "receive", interrupted)
        runner.run({"a": x + 1})
    np.testing.assert_array_equal(runner.run({"a": x})["y"], np.maximum(x, 0))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(300_000, dtype=np.float32).reshape(3, -1),
        np.asfortranarray(np.arange(600_000, dtype=np.int64).reshape(2, 3, -1)),
        np.arange(40, dtype=np.float32).reshape(4, 10)[::2, ::-3],
        np.zeros((0, 3), np.float16),
        np.array(7, np.int64),
        np.array([True, False]),
        np.array([["ab", "ü"], ["", "long " * 9]], object),
    ],
    ids=["large", "columns first", "every third", "empty", "scalar", "bools", "texts"],
)
def test_arrays_come_back_as_they_went(array):
    kind = TensorProto.STRING if array.dtype == object else None
    kind = kind or helper.np_dtype_to_tensor_dtype(array.dtype)
    echo = one("Identity", kind, [f"d{axis}" for axis in range(array.ndim)])
    seen = onnxgraph.run_onnx(echo, {"a": array})["y"]
    assert seen.shape == array.shape
    np.testing.assert_array_equal(seen, array)


def test_several_large_weights_are_handed_over(values):
    first, second = values(300, 400), values(400, 500)
    weights = {
        name: (TensorProto.FLOAT, value.shape, value.ravel())
        for name, value in (("w", first), ("v", second))
    }
    network = model(
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("MatMul", ["h", "v"], ["y"]),
        inputs={"x": (1, ("n", 300))},
        outputs={"y": (1, ("n", 500))},
        **weights,
    )
    x = values(2, 300)
    seen = onnxgraph.run_onnx(network, {"x": x})["y"]
    np.testing.assert_allclose(seen, x @ first @ second, rtol=1e-3, atol=1e-2)


def test_where_onnxruntime_has_no_kernel_the_reference_evaluator_runs():
    runner = Runner(one("Erf", TensorProto.DOUBLE))
    assert runner.referee == "onnx's reference evaluator"
    x = np.array([[-1.5, 0, 0.25]])
    seen = runner.run({"a": x})["y"]
    np.testing.assert_allclose(seen[0], [math.erf(v) for v in x[0]], rtol=1e-6)
    assert Runner(one("Relu", 1)).referee == "onnxruntime"


@pytest.mark.parametrize("op", ["Identity", "Relu", "Cos"])
def test_bfloat16_is_taken(op, values):
    x = values(2, 3).astype(ml_dtypes.bfloat16)
    runner = Runner(one(op, TensorProto.BFLOAT16, opset=22))
    seen = runner.run({"a": x})["y"]
    assert runner.referee == "onnx's reference evaluator" and seen.dtype == x.dtype
    exact = {"Identity": lambda v: v, "Relu": lambda v: np.maximum(v, 0), "Cos": np.cos}[op]
    np.testing.assert_allclose(seen.astype("f"), exact(x.astype("f")), rtol=2**-7, atol=2**-8)


@pytest.mark.parametrize("depth", [2, 64, 333])
def test_products_with_8_bit_weights_are_exact_on_every_processor(depth):
    """Without its exact mode onnxruntime sums them in 16 bits where there is no VNNI."""
    a, b = np.full((3, depth), 255, np.uint8), np.full((depth, 4), 127, np.int8)
    b[:, 1::2] = -128
    product = model(
        helper.make_node("MatMulInteger", ["a", "b"], ["y"]),
        inputs={"a": (TensorProto.UINT8, ("n", depth))},
        outputs={"y": (TensorProto.INT32, ("n", 4))},
        b=(TensorProto.INT8, b.shape, b.ravel().tolist()),
    )
    seen = onnxgraph.run_onnx(product, {"a": a})["y"]
    np.testing.assert_array_equal(seen, a.astype(np.int32) @ b.astype(np.int32))


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="memory is read from /proc")
def test_a_model_that_is_no_longer_needed_is_freed_at_once(values):
    weight = values(2000, 2000)
    node = helper.make_node("MatMul", ["a", "w"], ["y"])
    kind = TensorProto.FLOAT, ("n", 2000)
    given = {"w": (TensorProto.FLOAT, weight.shape, weight.ravel())}
    runner = Runner(model(node, inputs={"a": kind}, outputs={"y": kind}, **given))
    runner.run({"a": values(1, 2000)})
    held = resident(session_process.start().pid)
    del runner
    session_process.free()
    assert resident(session_process.start().pid) < held - weight.nbytes / 2


def resident(pid):
    """Return the bytes of memory of a process that are its own, or shared in memory only."""
    with open(f"/proc/{pid}/status") as status:
        lines = [line.split() for line in status if line.startswith(("RssAnon", "RssShmem"))]
    return 1000 * sum(int(size) for _, size, _ in lines)
