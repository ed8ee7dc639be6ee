"""Pools of known sizes: what they pad is a node of its own, and their arithmetic is folded."""

import numpy as np
import onnx
import pytest

from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.models import parse

OPTIONS = {
    "pads": "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]",
    "one side": "kernel_shape = [2, 3], pads = [0, 0, 1, 2]",
    "ceil": "kernel_shape = [3, 3], strides = [2, 2], pads = [0, 1, 1, 0], ceil_mode = 1",
    "ceil, past": "kernel_shape = [2, 2], strides = [3, 3], pads = [1, 1, 1, 1], ceil_mode = 1",
    "upper": 'kernel_shape = [3, 2], strides = [2, 2], auto_pad = "SAME_UPPER"',
    "lower": 'kernel_shape = [3, 2], strides = [2, 2], auto_pad = "SAME_LOWER"',
}
FEW = {"Placeholder", "Const", "Pad", "PadV2", "MaxPool", "AvgPool", "Transpose", "Mul", "RealDiv"}


def converted(model, target):
    """Return the conversion, compared at two batch sizes with values that are all below zero."""
    result = convert.onnx2tf(model, None, target=target, verify=False)
    shape = onnxgraph.inputs(model)[0].shape
    for batch in (1, 3):
        # Padding with anything but the lowest value would show.
        x = -1 - np.random.default_rng(batch).random((batch, *shape[1:]), np.float32)
        expected = onnxgraph.run_onnx(model, {"x": x})
        compare(expected, convert.run_conversion(result, {"x": x}), tolerance=1e-6).check()
    return result


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
@pytest.mark.parametrize(("height", "width"), [(7, 8), (12, 9)])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_no_pool_pads_by_itself(options, height, width, target):
    model = parse(
        f"g (float[N, 2, {height}, {width}] x) => (float[N, 2, a, b] m, float[N, 2, c, d] n, "
        f"float[N, 2, e, f] o) {{ m = MaxPool<{options}>(x) n = AveragePool<{options}>(x) "
        f"o = AveragePool<{options}, count_include_pad = 1>(x) }}"
    )
    nodes = converted(model, target).graph_def.node
    pools = [node for node in nodes if node.op in ("MaxPool", "AvgPool")]
    assert len(pools) == 3
    assert {node.attr["padding"].s for node in pools} == {b"VALID"}
    assert {node.op for node in nodes} <= FEW | {"Identity"}


def test_a_convolution_that_pads_by_itself_has_numbers_too():
    weights = np.arange(6, dtype=np.float32).reshape(1, 1, 3, 2)
    model = parse(
        "g (float[N, 1, 8, 7] x) => (float[N, 1, 4, 4] y) "
        '{ y = Conv<strides = [2, 2], auto_pad = "SAME_LOWER">(x, w) }',
        w=weights,
    )
    onnx.checker.check_model(model)
    nodes = converted(model, "tf1.4").graph_def.node
    assert {node.attr["padding"].s for node in nodes if node.op == "Conv2D"} == {b"VALID"}


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
@pytest.mark.parametrize("dims", ["7, 9", "H, W"])
@pytest.mark.parametrize(
    "window",
    [
        "kernel_shape = [2, 2], strides = [2, 2]",
        "kernel_shape = [3, 3], strides = [2, 2]",
        "kernel_shape = [2, 3], strides = [3, 2], pads = [0, 1, 1, 1]",
    ],
)
def test_indices_of_a_pool_count_in_what_it_pooled_whatever_its_size(window, dims, target):
    model = parse(
        f"""g (float[N, 2, {dims}] x) => (float[N, 2, P, Q] y) {{
            p, i = MaxPool<{window}>(x)
            j = Identity(i)
            s = Shape(x)
            y = MaxUnpool<{window}>(p, j, s)
        }}""",
        opset=12,
    )
    result = convert.onnx2tf(model, None, target=target)
    assert result.proven
    for batch, height, width in [(1, 7, 9)] + [(3, 8, 5)] * (dims == "H, W"):
        x = np.random.default_rng(batch).standard_normal((batch, 2, height, width), np.float32)
        seen = convert.run_conversion(result, {"x": x})["y"]
        assert seen.shape == x.shape
        assert np.allclose(seen[seen != 0], x[seen != 0], rtol=1e-6)
        compare(onnxgraph.run_onnx(model, {"x": x}), {"y": seen}, tolerance=1e-6).check()
