"""Ops that draw random numbers are refused before any work, and the advice works."""

import ast
import re

import numpy as np
import pytest

from graphcore.errors import ConversionError
from nbhelpers import convert, onnxgraph
from onnxgraph.model.random_ops import RANDOM_OPS
from tests.convert.models import parse, seeded

DRAWN = {
    "normal": "r = RandomNormal<shape = [2, 3]>() y = Add(x, r)",
    "normal with a seed": "r = RandomNormal<shape = [2, 3], seed = 1.0>() y = Add(x, r)",
    "uniform": "r = RandomUniform<shape = [2, 3], high = 0.0>() y = Add(x, r)",
    "like": "h = Relu(x) r = RandomNormalLike(h) y = Add(h, r)",
    "uniform like": "r = RandomUniformLike(x) y = Mul(x, r)",
    "bernoulli": "p = Sigmoid(x) r = Bernoulli(p) y = Mul(x, r)",
    "multinomial": "i = Multinomial<sample_size = 3>(x) f = Cast<to = 1>(i) y = Add(x, f)",
    "two": "a = RandomNormalLike(x) b = RandomUniformLike(x) c = Mul(a, b) y = Add(x, c)",
    "without anything else": "r = RandomNormalLike(x) y = Identity(r)",
}


@pytest.mark.parametrize("body", DRAWN.values(), ids=DRAWN)
@pytest.mark.parametrize("target", ["tf1.4", "tf2"])
def test_preflight_refuses_and_says_how_to_cut(body, target):
    model = parse(f"g (float[2, 3] x) => (float[2, 3] y) {{ {body} }}", opset=17)
    found = convert.preflight(model, target)
    assert not found.ok and all("draws random numbers" in each.why for each in found.obstacles)
    with pytest.raises(ConversionError, match="draws random numbers, of which") as caught:
        convert.onnx2tf(model, None, target=target)
    call = re.search(r"onnxgraph\.cut\(model, inputs=(\[.*?\])\)", str(caught.value))
    rest = onnxgraph.cut(model, inputs=ast.literal_eval(call[1])).model
    names = [spec.name for spec in onnxgraph.inputs(rest)]
    assert set(onnxgraph.op_histogram(rest)).isdisjoint(RANDOM_OPS) and set(names) - {"x"}
    assert convert.onnx2tf(rest, None, target=target).proven


def test_random_numbers_that_nothing_needs_are_no_obstacle():
    model = parse(
        "g (float[2, 3] x) => (float[2, 3] y) { r = RandomNormalLike(x) y = Relu(x) }", opset=17
    )
    made = convert.onnx2tf(model, None)
    x = seeded(2, 3)
    assert made.proven
    np.testing.assert_array_equal(convert.run_conversion(made, {"x": x})["y"], np.maximum(x, 0))


def test_those_in_a_branch_say_what_can_be_done():
    model = parse(
        """g (float[2, 3] x, bool c) => (float[2, 3] y) {
            y = If (c) <then_branch = t () => (float[2, 3] a) { a = RandomNormalLike(x) },
                else_branch = e () => (float[2, 3] b) { b = Relu(x) }>
        }""",
        opset=17,
    )
    found = convert.preflight(model)
    assert "as an input" in found.obstacles[0].help
