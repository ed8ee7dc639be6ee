"""What is advised about nodes that only old opsets have: followed to the letter."""

import numpy as np
import pytest

from graphcore.errors import ConversionError
from nbhelpers import convert, onnxgraph
from tests.convert.models import parse, seeded

SCAN = """g ({0}float[2, 3, 4] x) => (float[2, 3, 4] y) {{ s, y = Scan<num_scan_inputs = 1,
    body = b (float[4] i, float[4] e) => (float[4] o, float[4] p) {{
    o = Add(i, e) p = Identity(o) }}>({1}, zeros, x) }}"""
NORM = "g (float[2, 3, 4] x) => (float[2, 3, 4] y) {{ [norm] {0}(x, scale, bias, mean, spread) }}"
STATISTICS = {
    name: seeded(3, seed=seed) ** 2 for seed, name in enumerate(("scale", "bias", "mean", "spread"))
}


def said(model):
    with pytest.raises(ConversionError) as caught:
        convert.onnx2tf(model, None)
    return str(caught.value)


def test_lengths_of_sequences_are_left_out():
    zeros = np.zeros((2, 4), np.float32)
    refused = parse(SCAN.format("int64[2] lengths, ", "lengths"), opset=8, zeros=zeros)
    assert "leave them out, where all sequences are whole" in said(refused)
    assert convert.onnx2tf(parse(SCAN.format("", '""'), opset=8, zeros=zeros), None).proven


def test_a_trained_model_that_says_it_trains():
    refused = parse(NORM.format("y = BatchNormalization"), opset=6, **STATISTICS)
    assert "set is_test to 1 if the model was trained before" in said(refused)
    followed = onnxgraph.set_attributes(refused, "norm", is_test=1).model
    assert convert.onnx2tf(followed, None).proven


def test_dropout_before_opset_7():
    refused = parse("g (float[2, 3] x) => (float[2, 3] y) { [drop] y = Dropout(x) }", opset=6)
    assert "is_test 1 before opset 7" in said(refused)
    followed = onnxgraph.set_attributes(refused, "drop", is_test=1).model
    made = convert.onnx2tf(followed, None, verify=False)  # no referee knows this opset's
    x = seeded(2, 3)
    np.testing.assert_array_equal(convert.run_conversion(made, {"x": x})["y"], x)
