"""Quantised handlers against onnxruntime, at several sizes."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from graphcore.errors import ConversionError
from nbhelpers import convert, onnxgraph
from tests.convert.models import parse, seeded

SCALES = np.array([0.02, 0.5, 0.1], np.float32)


def equal(model, *batches, off_by=0, reference=False):
    """Convert once; each batch must give the very numbers that onnxruntime gives."""
    conversion = convert.onnx2tf(model, None, verify=False)
    names = [spec.name for spec in onnxgraph.inputs(model)]
    for arrays in batches:
        feeds = dict(zip(names, arrays, strict=True))
        seen = convert.run_conversion(conversion, feeds)
        if reference:
            outputs = [value.name for value in model.graph.output]
            expected = dict(zip(outputs, ReferenceEvaluator(model).run(None, feeds), strict=True))
        else:
            expected = onnxgraph.run_onnx(model, feeds)
        for name, want in expected.items():
            assert seen[name].dtype == want.dtype
            np.testing.assert_allclose(
                seen[name].astype(np.float64), want.astype(np.float64), rtol=1e-6, atol=off_by
            )


def bytes_of(dtype, *shape, seed=0):
    info = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("opset", [10, 13, 19, 21])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_quantise_for_a_tensor(dtype, opset):
    body = f"g (float[N, 3, H] x) => ({dtype}[N, 3, H] y) {{ y = QuantizeLinear(x, s, z) }}"
    model = parse(body, opset=opset, s=np.float32(0.05), z=np.array(3, dtype))
    ties = (np.arange(-24, 24).reshape(2, 3, 8) * 0.025).astype(np.float32)
    equal(model, (ties,), (seeded(4, 3, 5) * 100,))


@pytest.mark.parametrize("axis", [1, -2])
def test_there_and_back_with_a_scale_for_each_channel(axis):
    model = parse(
        "g (float[N, 3, H] x) => (int8[N, 3, H] q, float[N, 3, H] y) "
        f"{{ q = QuantizeLinear<axis = {axis}>(x, s, z) "
        f"y = DequantizeLinear<axis = {axis}>(q, s, z) }}",
        s=SCALES,
        z=np.array([0, -7, 100], np.int8),
    )
    equal(model, (seeded(1, 3, 4) * 5,), (seeded(3, 3, 7) * 5,))


def test_blocks_of_an_axis_whose_size_is_not_known():
    model = parse(
        "g (float[N, 3, H] x, float[N, 3, B] s) => (uint16[N, 3, H] q, float[N, 3, H] y) "
        "{ q = QuantizeLinear<axis = 2, block_size = 2, output_dtype = 4>(x, s) "
        "y = DequantizeLinear<axis = 2, block_size = 2>(q, s) }",
        opset=21,
    )
    batches = [
        (np.abs(seeded(n, 3, h)), np.abs(seeded(n, 3, -(-h // 2), seed=1)) + 0.01)
        for n, h in ((1, 4), (2, 7))
    ]
    equal(model, *batches, reference=True)


def test_dequantise_int32():
    body = "g (int32[N, 3] x) => (float[N, 3] y) { y = DequantizeLinear(x, s) }"
    model = parse(body, s=np.float32(0.25))
    equal(model, (bytes_of("int32", 2, 3),))


def test_dynamic_quantisation_of_anything_zeros_too():
    model = parse(
        "g (float[N, H] x) => (uint8[N, H] y, float s, uint8 z) "
        "{ y, s, z = DynamicQuantizeLinear(x) }"
    )
    zeros = np.zeros((2, 3), np.float32)
    equal(model, (seeded(2, 5),), (np.abs(seeded(1, 9)) + 3,), (-np.abs(seeded(3, 4)),), (zeros,))


@pytest.mark.parametrize("inner", [4, 700])
def test_integer_products_are_exact(inner):
    model = parse(
        f"g (uint8[N, M, {inner}] a, int8[{inner}, 3] b) => (int32[N, M, 3] y) "
        "{ y = MatMulInteger(a, b, p, q) }",
        p=np.array(255, np.uint8),
        q=np.array(-128, np.int8),
    )
    right = bytes_of("int8", inner, 3)
    equal(model, (bytes_of("uint8", 1, 2, inner), right), (bytes_of("uint8", 3, 5, inner), right))


@pytest.mark.parametrize("channels", [2, 40])
def test_integer_convolutions_are_exact(channels):
    model = parse(
        f"g (uint8[N, {channels}, H, W] x) => (int32[N, 4, h, w] y) "
        "{ y = ConvInteger<pads = [1, 1, 1, 1], strides = [2, 2]>(x, w, p) }",
        w=bytes_of("uint8", 4, channels, 3, 3),
        p=np.array(7, np.uint8),
    )
    equal(model, (bytes_of("uint8", 1, channels, 5, 6),), (bytes_of("uint8", 2, channels, 8, 7),))


@pytest.mark.parametrize("group", [1, 2])
def test_quantised_convolutions(group):
    names = "x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias"
    model = parse(
        f"g (uint8[N, 4, H, 6] x) => (uint8[N, 6, h, w] y) "
        f"{{ y = QLinearConv<pads = [1, 0, 1, 2], group = {group}>(x, {names}) }}",
        x_scale=np.float32(0.05),
        x_zero=np.array(120, np.uint8),
        w=bytes_of("int8", 6, 4 // group, 3, 3),
        w_scale=np.linspace(0.01, 0.02, 6, dtype=np.float32),
        w_zero=np.zeros(6, np.int8),
        y_scale=np.float32(0.5),
        y_zero=np.array(100, np.uint8),
        bias=bytes_of("int16", 6).astype(np.int32),
    )
    # onnxruntime rounds the scales in another order: a tie may fall to the other side.
    batches = [(bytes_of("uint8", 1, 4, 5, 6),), (bytes_of("uint8", 3, 4, 8, 6),)]
    equal(model, *batches, off_by=1)


def test_quantised_products_with_a_scale_for_each_column():
    names = "a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero"
    model = parse(
        f"g (uint8[N, 8] a) => (uint8[N, 3] y) {{ y = QLinearMatMul(a, {names}) }}",
        a_scale=np.float32(0.02),
        a_zero=np.array(110, np.uint8),
        b=bytes_of("int8", 8, 3),
        b_scale=SCALES,
        b_zero=np.zeros(3, np.int8),
        y_scale=np.float32(1.5),
        y_zero=np.array(128, np.uint8),
    )
    equal(model, (bytes_of("uint8", 1, 8),), (bytes_of("uint8", 5, 8),), off_by=1)


def test_scales_of_no_known_kind_are_refused():
    model = parse(
        "g (float[N, 3, H] x, float[2, 3] s) => (uint8[N, 3, H] q) "
        "{ [named] q = QuantizeLinear(x, s) }"
    )
    with pytest.raises(ConversionError, match=r"'named' \(QuantizeLinear\) has scales of 2 axes"):
        convert.onnx2tf(model, None, verify=False)


def test_floats_of_eight_bits_are_refused():
    body = "g (float[N] x) => (float8e4m3fn[N] q) { [named] q = QuantizeLinear(x, s, z) }"
    zero = onnx.helper.make_tensor("z", onnx.TensorProto.FLOAT8E4M3FN, [], [0.0])
    model = parse(body, opset=19, s=np.float32(1))
    model.graph.initializer.append(zero)
    with pytest.raises(ConversionError, match=r"'named' \(QuantizeLinear\) makes float8"):
        convert.onnx2tf(model, None, verify=False)
