"""What onnx2tf and preflight advise about whole models: each is followed to the letter."""

import re

import numpy as np
import onnx
import pytest

from graphcore.errors import ConversionError, GraphError
from nbhelpers import convert, onnxgraph
from tests.convert.models import parse, seeded

SPLIT = """g (string[2] x) => (string[2, k] y, int64[2] n) {
    y, n = StringSplit<delimiter = ",">(x) }"""
UNSIGNED = "g (float[2] x) => (uint32[2] y) { y = Cast<to = 12>(x) }"


def said(model, error=ConversionError, **asked):
    with pytest.raises(error) as caught:
        convert.onnx2tf(model, None, **asked)
    return str(caught.value)


def test_examples_for_which_something_is_computed():
    model = parse(
        "g (float[2, 3] x) => (float[2, 3] y) { a = Sub(x, far) y = Log(a) }", far=np.float32(1e6)
    )
    made = convert.onnx2tf(model, None)
    assert not made.proven and "Give inputs for which the model computes something" in repr(made)
    examples = {"x": np.full((2, 3), 2e6, np.float32)}
    assert convert.onnx2tf(model, None, examples=examples).proven


def test_examples_for_texts_that_are_numbers():
    model = parse("g (string[2] x) => (float[2] y) { y = Cast<to = 1>(x) }")
    message = said(model, GraphError)
    array = np.array(["1.5", "-2"], object)
    examples = eval(re.search(r"examples=(\{.*?\})", message)[1], {"array": array})
    assert convert.onnx2tf(model, None, examples=examples).proven


@pytest.mark.parametrize("body", [SPLIT, UNSIGNED])
def test_the_target_that_is_named_is_enough_and_so_are_newer_ones(body):
    model = parse(body, opset=20)
    since = re.search(r"convert for (\S+) or newer", said(model, target="tf1.4"))[1]
    for newer in convert.TARGETS[convert.TARGETS.index(since) :]:
        assert convert.onnx2tf(model, None, target=newer).proven


def test_a_node_of_another_domain_gets_its_definition():
    def model(*functions):
        value = onnx.helper.make_tensor_value_info
        node = onnx.helper.make_node("Thrice", ["x"], ["y"], domain="own")
        graph = onnx.helper.make_graph([node], "g", [value("x", 1, [3])], [value("y", 1, [3])])
        opsets = [onnx.helper.make_opsetid("", 13), onnx.helper.make_opsetid("own", 1)]
        return onnx.helper.make_model(
            graph, opset_imports=opsets, functions=functions, ir_version=8
        )

    assert "add its definition to the model as a function" in said(model())
    body = onnx.helper.make_node("Sum", ["x", "x", "x"], ["y"])
    opset = onnx.helper.make_opsetid("", 13)
    definition = onnx.helper.make_function("own", "Thrice", ["x"], ["y"], [body], [opset])
    assert convert.onnx2tf(model(definition), None).proven


def test_a_node_without_a_counterpart_is_replaced_or_cut_off():
    model = parse(
        "g (float[1, 2, 8, 8] x, float[n, 5] r) => (float[n, 2, 1, 1] y, float[1, 2, 8, 8] z) "
        "{ z = Relu(x) [pool] y = MaxRoiPool<pooled_shape = [1, 1]>(z, r) }"
    )
    message = said(model)
    assert "by other ops of ONNX with onnxgraph.replace, or cut the model around it" in message
    rest = onnxgraph.cut(model, outputs=["z"]).model
    assert convert.onnx2tf(rest, None).proven
    replaced = onnxgraph.replace(
        onnxgraph.fix_dims(model, {"n": 1}).model, "pool", "GlobalMaxPool", inputs=["z"]
    )
    assert convert.onnx2tf(replaced.model, None).proven


def test_an_attribute_that_onnx_does_not_know_is_set():
    model = parse(
        "g (float[2, 3] x) => (float[2, 3] y) { [soft] y = Hardmax<axis = 5>(x) }", opset=13
    )
    assert "correct the node with onnxgraph.set_attributes" in said(model)
    corrected = onnxgraph.set_attributes(model, "soft", axis=1).model
    assert convert.onnx2tf(corrected, None).proven


def test_a_node_that_does_not_fit_its_inputs_fails_in_onnxruntime_too():
    model = parse(
        "g (float[2, b] x) => (float[2, 4] y) { y = MatMul(x, w) z = Add(y, v) }",
        w=seeded(5, 4),
        v=seeded(3),
    )
    assert "run the model with onnxgraph.run_onnx to see whether the node fits" in said(model)
    with pytest.raises(GraphError, match="Add"):
        onnxgraph.run_onnx(model, {"x": seeded(2, 5)})
