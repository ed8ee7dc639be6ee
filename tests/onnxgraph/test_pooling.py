"""Explicit padding: no pool pads by itself any more, and every value is the same."""

import numpy as np
import onnx
import pytest

from nbhelpers import onnxgraph
from nbhelpers.onnxgraph.pooling import explicit_padding

OPTIONS = {
    "pads": "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]",
    "one side": "kernel_shape = [2, 3], pads = [0, 0, 1, 2]",
    "ceil": "kernel_shape = [3, 3], strides = [2, 2], pads = [0, 1, 1, 0], ceil_mode = 1",
    "ceil, past": "kernel_shape = [2, 2], strides = [3, 3], pads = [1, 1, 1, 1], ceil_mode = 1",
    "upper": 'kernel_shape = [3, 2], strides = [2, 2], auto_pad = "SAME_UPPER"',
    "lower": 'kernel_shape = [3, 2], strides = [2, 2], auto_pad = "SAME_LOWER"',
}
KINDS = ["MaxPool", "AveragePool", "AveragePool, counted"]


def parsed(kind, options, size, opset):
    op, _, counted = kind.partition(", ")
    options += ", count_include_pad = 1" if counted else ""
    return onnx.parser.parse_model(
        f'<ir_version: 6, opset_import: ["" : {opset}]> g (float[N, 2, {size[0]}, {size[1]}] x) '
        f"=> (float[N, 2, h, w] y) {{ [the_pool] y = {op}<{options}>(x) }}"
    )


@pytest.mark.parametrize("opset", [10, 11, 13])
@pytest.mark.parametrize("size", [(7, 8), (12, 9)], ids=str)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_values_and_no_hidden_padding(kind, options, size, opset):
    model = parsed(kind, options, size, opset)
    before = model.SerializeToString()
    result = explicit_padding(model)
    assert model.SerializeToString() == before
    assert "the_pool: padding made explicit" in result.changes[0]
    pool = next(node for node in result.model.graph.node if node.op_type.endswith("Pool"))
    assert {a.name for a in pool.attribute} <= {"kernel_shape", "strides", "dilations"}
    onnx.checker.check_model(result.model)
    for batch in (1, 3):
        # All below zero: padding with anything but the lowest value would show.
        x = -1 - np.random.default_rng(batch).random((batch, 2, *size), np.float32)
        expected, seen = (
            onnxgraph.run_onnx(model, {"x": x}),
            onnxgraph.run_onnx(result.model, {"x": x}),
        )
        np.testing.assert_allclose(seen["y"], expected["y"], rtol=1e-6)


def test_a_pool_without_padding_stays_as_it_is():
    model = parsed("MaxPool", "kernel_shape = [2, 2], strides = [2, 2]", (7, 7), 13)
    result = explicit_padding(model)
    assert result.changes == ()
    assert result.model == model


def test_a_convolution_that_pads_by_itself_gets_numbers():
    model = onnx.parser.parse_model("""
        <ir_version: 6, opset_import: ["" : 13]>
        g (float[N, 1, 8, 7] x, float[1, 1, 3, 2] w) => (float[N, 1, 4, 4] y) {
            y = Conv<strides = [2, 2], auto_pad = "SAME_LOWER">(x, w)
        }
    """)
    result = explicit_padding(model)
    feeds = {
        "x": np.random.default_rng(0).random((2, 1, 8, 7), np.float32),
        "w": np.ones((1, 1, 3, 2), np.float32),
    }
    expected, seen = onnxgraph.run_onnx(model, feeds), onnxgraph.run_onnx(result.model, feeds)
    np.testing.assert_allclose(seen["y"], expected["y"], rtol=1e-6)
    (conv,) = result.model.graph.node
    assert "auto_pad" not in {a.name for a in conv.attribute}


@pytest.mark.parametrize("options", ["ceil_mode = 1", 'auto_pad = "SAME_UPPER"'])
def test_unknown_sizes_are_left_for_the_conversion_to_refuse(options):
    model = onnx.parser.parse_model(
        '<ir_version: 6, opset_import: ["" : 13]> g (float[N, 1, H, W] x) => (float[N, 1, h, w] y) '
        f"{{ y = MaxPool<kernel_shape = [3, 3], strides = [2, 2], {options}>(x) }}"
    )
    assert explicit_padding(model).changes == ()
