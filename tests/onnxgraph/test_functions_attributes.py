"""Attributes of a model's own functions: given, left out, passed on, and in branches."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from nbhelpers import onnxgraph
from onnxgraph.model.functions import inline_functions

HEAD = """<ir_version: 10, opset_import: ["" : 17, "f" : 1]>
    g (float[N, 3] x) => (float[N, 3] y)"""

SCALE = """
    <domain: "f", opset_import: ["" : 17]>
    Scale <k: float = 3.0> (x) => (y) { c = Constant <value_float: float = @k>() y = Mul(x, c) }
"""
SHIFT = """
    <domain: "f", opset_import: ["" : 17, "f" : 1]>
    Shift <by> (x) => (y) { s = f.Scale <k: float = @by>(x) y = Add(s, x) }
"""
SWITCH = """
    <domain: "f", opset_import: ["" : 17, "f" : 1]>
    Switch <slope: float = 0.5, axis: int = 1> (x) => (y) {
        zero = Constant <value_float = 0.0>()
        sum = ReduceSum <keepdims = 0>(x)
        positive = Greater(sum, zero)
        y = If (positive) <
            then_branch = a () => (yes) { t = Softmax <axis: int = @axis>(x) yes = f.Scale(t) },
            else_branch = b () => (no) { no = LeakyRelu <alpha: float = @slope>(x) }
        >
    }
"""
OLDER = """
    <domain: "f", opset_import: ["" : 12, "f" : 1]>
    Older <k: float = 2.0, axes: ints = [1]> (x) => (y) {
        r = ReduceSum <axes: ints = @axes, keepdims = 1>(x)
        s = f.Scale <k: float = @k>(r)
        y = Sub(x, s)
    }
"""

CASES = {
    "given": (SCALE, "y = f.Scale <k = 2.0>(x)"),
    "left out": (SCALE, "y = f.Scale(x)"),
    "both": (SCALE, "t = f.Scale <k = 2.0>(x) y = f.Scale(t)"),
    "passed on": (SCALE + SHIFT, "t = f.Shift <by = 5.0>(x) y = f.Shift(t)"),
    "in branches": (SCALE + SWITCH, "t = f.Switch <axis = 0>(x) y = f.Switch <slope = 0.1>(t)"),
}


def evaluated(model, x):
    """Return what onnxruntime makes of it: onnx's reference evaluator knows no defaults."""
    return onnxgraph.run_onnx(model, {"x": x})["y"]


@pytest.mark.parametrize("name", CASES)
def test_a_function_is_replaced_by_what_it_computes(name):
    functions, nodes = CASES[name]
    model = onnx.parser.parse_model(f"{HEAD} {{ {nodes} }} {functions}")
    plain = inline_functions(model, keep=lambda node: True)
    assert not plain.functions
    onnx.checker.check_model(plain)
    for sign in (1, -1):
        x = np.float32([[0.5, -1, 2], [3, 0.25, 1]]) * sign
        assert np.allclose(evaluated(plain, x), evaluated(model, x), atol=1e-6), name


def test_numbers_of_a_default_and_of_a_call():
    functions, nodes = CASES["both"]
    model = onnx.parser.parse_model(f"{HEAD} {{ {nodes} }} {functions}")
    x = np.float32([[1, 2, 3]])
    assert evaluated(inline_functions(model, keep=lambda node: True), x).tolist() == [[6, 12, 18]]


def test_bodies_of_an_older_opset_are_brought_to_the_model_s():
    """Both get a constant from onnx's version converter, under one name."""
    nodes = "t = f.Older(x) y = f.Older <axes = [0], k = 0.5>(t)"
    model = onnx.parser.parse_model(f"{HEAD} {{ {nodes} }} {SCALE} {OLDER}")
    plain = inline_functions(model, keep=lambda node: True)
    onnx.checker.check_model(plain)
    x = np.float32([[0.5, -1, 2], [3, 0.25, 1]])
    first = x - 2 * x.sum(1, keepdims=True)
    assert np.allclose(evaluated(plain, x), first - 0.5 * first.sum(0, keepdims=True), atol=1e-6)


def test_overloads_of_a_function_are_told_apart():
    model = onnx.parser.parse_model(f"{HEAD} {{ t = f.Scale(x) y = f.Scale(t) }} {SCALE}")
    other = model.functions.add()
    other.CopyFrom(model.functions[0])
    other.overload, other.attribute_proto[0].f = "half", 0.5
    model.graph.node[1].overload = "half"
    x = np.float32([[2, 4, 6]])
    assert evaluated(inline_functions(model, keep=lambda node: True), x).tolist() == [[3, 6, 9]]


@pytest.mark.parametrize("opset", [23, 24, 25, 26])
def test_a_body_of_an_older_opset_takes_weights_constants_and_stands_in_branches(opset):
    text = f"""<ir_version: 13, opset_import: ["" : {opset}]>
    g (float[1, 2, 5, 4] x, bool flag) => (float[1, 2, 5, 4] y) {{
        sines = Constant <value = float[1, 5, 2] {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}}>()
        turned = RotaryEmbedding(x, cosines, sines)
        y = If (flag) <
            then_branch = a () => (float[1, 2, 5, 4] t) {{ t = RotaryEmbedding(turned, w, w) }},
            else_branch = b () => (float[1, 2, 5, 4] e) {{ e = Identity(turned) }}
        >
    }}"""
    model = onnx.parser.parse_model(text)
    for name in ("cosines", "w"):
        value = np.random.default_rng(len(name)).standard_normal((1, 5, 2)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    plain = inline_functions(model, keep=lambda node: node.op_type != "RotaryEmbedding")
    assert "RotaryEmbedding" not in str(plain)
    x = np.random.default_rng(0).standard_normal((1, 2, 5, 4)).astype(np.float32)
    for flag in (True, False):
        fed = {"x": x, "flag": np.array(flag)}
        seen, wanted = (ReferenceEvaluator(each).run(None, fed)[0] for each in (plain, model))
        assert np.allclose(seen, wanted, atol=1e-6)
