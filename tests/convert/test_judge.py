"""By whom a conversion is judged, on which values, and how exactly."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from graphcore.errors import ParityError
from nbhelpers import convert
from tests.convert.models import parse, seeded
from tfgraph import pipeline

REFERENCE = "onnx's reference evaluator"


def titles(made):
    return [report.title for report in made.parity]


def test_the_referee_is_named():
    made = convert.onnx2tf(parse("g (float[n, 3] x) => (float[n, 3] y) { y = Tanh(x) }"), None)
    assert all(" against onnxruntime, " in title for title in titles(made))
    assert "against onnxruntime, batch 3" in repr(made)
    double = parse("g (double[n, 3] x) => (double[n, 3] y) { y = Erf(x) }")
    made = convert.onnx2tf(double, None)
    assert made.proven and titles(made)[0].endswith(f" against {REFERENCE}, batch 1")


def test_a_wrong_referee_refuses_nothing():
    """Two fed factors: without VNNI onnxruntime sums their products in 16 bits."""
    text = "g (uint8[n, 64] a, int8[64, 4] b) => (int32[n, 4] y) { y = MatMulInteger(a, b) }"
    assert convert.onnx2tf(parse(text), None).proven


@pytest.mark.parametrize("shift", [0.05, -1.0])
@pytest.mark.parametrize(
    "body", ["y = Tanh(x)", "h = Cast<to = 10>(x) t = Tanh(h) y = Cast<to = 1>(t)"]
)
def test_a_right_referee_catches_what_is_wrong(body, shift, monkeypatch):
    real = pipeline.run_conversion

    def wrong(*arguments, **options):
        seen = real(*arguments, **options)
        return {name: value + value.dtype.type(shift) for name, value in seen.items()}

    monkeypatch.setattr(pipeline, "run_conversion", wrong)
    model = parse(f"g (float[n, 3] x) => (float[n, 3] y) {{ {body} }}")
    with pytest.raises(ParityError, match="against onnxruntime, batch 1: 1 of 1 tensors differ"):
        convert.onnx2tf(model, None)


@pytest.mark.parametrize("wide", [1, 40])
def test_half_floats_inside_set_the_tolerance_of_the_outputs_behind_them(wide):
    text = """g (float[n, 64] x) => (float[n, 8] y, float[n, 8] z) {
        h = Cast<to = 10>(x)
        p = MatMul(h, w)
        y = Cast<to = 1>(p)
        q = MatMul(x, v)
        z = Relu(q)
    }"""
    model = parse(text, w=seeded(64, 8).astype(np.float16) * wide, v=seeded(64, 8))
    made = convert.onnx2tf(model, None)
    rows = {row.name: row for row in made.parity[0].rows}
    assert made.proven and rows["z"].relative < 1e-4


def test_labels_that_half_floats_cannot_tell_apart_are_no_difference():
    expected = np.array([[1.0, 1.0005, 0.2]], np.float32)
    seen = np.array([[1.0005, 1.0, 0.2]], np.float32)
    from graphcore.parity import compare

    assert compare({"y": expected}, {"y": seen}, precisions={"y": "float16"}).ok
    assert not compare({"y": expected}, {"y": seen}, tolerance=1e-2).ok
    far = np.array([[1.1, 1.0, 0.2]], np.float32)
    assert not compare({"y": expected}, {"y": far}, precisions={"y": "float16"}).ok


@pytest.mark.parametrize(
    "body", ["a = Abs(x) b = Neg(a) c = Sub(b, one) y = Sqrt(c)", "i = Sub(x, x) y = Div(i, i)"]
)
def test_outputs_that_are_never_a_number_prove_nothing(body, tmp_path):
    model = parse(f"g (float[n, 3] x) => (float[n, 3] y) {{ {body} }}", one=np.float32(1))
    made = convert.onnx2tf(model, None)
    assert not made.proven
    assert "UNPROVEN" in repr(made) and "examples=" in repr(made)
    assert "all values are NaN or infinite" in repr(made)


def test_what_is_a_number_for_positive_inputs_only_is_proven():
    text = "g (float[n, 64] x) => (float[n, 1] y) { l = Log(x) y = ReduceSum<axes = [1]>(l) }"
    made = convert.onnx2tf(parse(text, opset=11), None)
    assert made.proven and all(report.shows for report in made.parity)


def test_the_users_own_examples_are_used(tmp_path):
    text = """g (int64[n] i) => (float[n] y) <float[3] w = {1, 2, 3}, int64 far = {100}> {
        j = Sub(i, far) y = Gather(w, j)
    }"""
    np.savez(tmp_path / "given.npz", i=np.array([102, 100, 97]))
    for examples in ({"i": np.array([100, 101, 97, 102])}, str(tmp_path / "given.npz")):
        made = convert.onnx2tf(parse(text), None, examples=examples)
        assert made.proven and titles(made)[0].endswith(f"batch {4 if len(examples) == 1 else 3}")


def test_a_size_that_was_stated_is_used():
    text = """g (float[b, p, 4] x, float[b, n, 4] y, float[b, t, 1] w) => (float[b, s, 4] z) {
        xy = Concat<axis = 1>(x, y) z = Mul(xy, w)
    }"""
    made = convert.onnx2tf(parse(text), None, symbols={"t": "p + n"})
    assert made.proven


def test_ties_and_zeros_are_looked_at(monkeypatch):
    def half_up(made, feeds, where=None):
        return {"y": np.floor(feeds["x"] + np.float32(0.5))}

    model = parse("g (float[n, 30] x) => (float[n, 30] y) { y = Round(x) }")
    assert convert.onnx2tf(model, None).proven
    monkeypatch.setattr(pipeline, "run_conversion", half_up)
    with pytest.raises(ParityError, match="zeros and ties: 1 of 1 tensors differ"):
        convert.onnx2tf(model, None)


def test_nan_and_infinity_are_looked_at_where_the_model_says_what_they_give(monkeypatch):
    text = """g (float[n, 30] x) => (float[n, 30] y) <float zero = {0}> {
        none = IsNaN(x) without = Where(none, zero, x) y = Tanh(without)
    }"""
    made = convert.onnx2tf(parse(text), None)
    assert titles(made)[-1].endswith("NaN and infinity")

    def leaking(made, feeds, where=None):
        return {"y": np.tanh(feeds["x"])}

    monkeypatch.setattr(pipeline, "run_conversion", leaking)
    with pytest.raises(ParityError, match="NaN and infinity: 1 of 1 tensors differ"):
        convert.onnx2tf(parse(text), None)


@pytest.mark.parametrize(
    "body",
    [
        "c = Conv<pads = [1, 1, 1, 1]>(x, w) r = Relu(c) y = MaxPool<kernel_shape = [2, 2]>(r)",
        "c = Conv(x, w) r = Clip(c, low, high) y = GlobalMaxPool(r)",
        "s = Softmax<axis = 1>(x) y = ReduceMax(s)",
    ],
)
def test_networks_in_which_nan_means_nothing_are_proven(body):
    weights = {"w": seeded(3, 3, 3, 3), "low": np.float32(0), "high": np.float32(6)}
    model = parse(f"g (float[n, 3, 9, 9] x) => (float[n, a, b, c] y) {{ {body} }}", **weights)
    assert convert.onnx2tf(model, None).proven


def test_a_model_that_ends_onnxruntime_is_a_refusal():
    integer = TensorProto.INT64, []
    values = [
        helper.make_tensor_value_info("s", 1, [1, 128, 1]),
        helper.make_tensor_value_info("length", *integer),
    ]
    nodes = [
        helper.make_node("Sub", ["length", "length"], ["zero"]),
        helper.make_node("Constant", [], ["step"], value_int=3),
        helper.make_node("STFT", ["s", "step", "", "zero"], ["y"]),
    ]
    out = helper.make_tensor_value_info("y", 1, [1, "a", "b", 2])
    graph = helper.make_graph(nodes, "g", values, [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(Exception) as caught:
        convert.onnx2tf(model, None)
    assert isinstance(caught.value, ValueError) and "." in str(caught.value)
