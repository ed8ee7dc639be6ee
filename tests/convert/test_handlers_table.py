"""The table of handlers: one for each version of an op that differs, and ops of old files."""

import numpy as np
import onnx
import pytest

from graphcore.errors import ConversionError
from nbhelpers import convert
from tests.convert.models import parse, seeded
from tfgraph import handlers
from tfgraph.handlers.registry import HANDLERS


@pytest.mark.parametrize(
    ("opset", "version", "function"), [(8, 8, "batched_scan"), (9, 9, "scan"), (22, 21, "scan")]
)
def test_an_op_has_the_handler_of_its_version(opset, version, function):
    assert handlers.version_of("", "Scan", opset) == version
    assert handlers.find("", "Scan", version).convert.__name__ == function


def test_an_op_of_another_domain_or_of_none_has_no_handler():
    assert handlers.find("com.example", "Relu", 1) is None
    assert handlers.find("", "Nothing", 1) is None


def test_every_op_is_one_of_onnx_or_was_one():
    known = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas_with_history()}
    unknown = {op for domain, op, _ in HANDLERS if (domain, op) not in known}
    assert unknown == {"ConstantFill", "ImageScaler"}


def converted(body, feeds=None):
    """Convert a model of removed ops, which onnxruntime may not know, and run it."""
    made = convert.onnx2tf(parse(body, opset=7), None, verify=False)
    return convert.run_conversion(made, feeds or {})["y"]


def test_image_scaler_multiplies_and_adds_by_channel():
    model = parse(
        "g (float[N, 3, 4, 5] x) => (float[N, 3, 4, 5] y) "
        "{ y = ImageScaler<scale = 2.0, bias = [1.0, 2.0, 3.0]>(x) }",
        opset=7,
    )
    made = convert.onnx2tf(model, None)  # onnxruntime still has this one
    assert made.proven
    x = seeded(2, 3, 4, 5)
    expected = 2 * x + np.array([1, 2, 3], np.float32)[:, None, None]
    np.testing.assert_allclose(convert.run_conversion(made, {"x": x})["y"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ("g () => (float[2, 3] y) { y = ConstantFill<shape = [2, 3], value = 1.5>() }", (2, 3)),
        ("g (float[N, 4] x) => (float[N, 4] y) { y = ConstantFill<value = 1.5>(x) }", (2, 4)),
        (
            "g (float[N, 4] x) => (float[N, 4, 5] y) "
            "{ y = ConstantFill<value = 1.5, extra_shape = [5]>(x) }",
            (2, 4, 5),
        ),
    ],
)
def test_constant_fill_fills_a_shape(body, shape):
    seen = converted(body, {"x": seeded(2, 4)} if "float[N, 4] x" in body else {})
    np.testing.assert_array_equal(seen, np.full(shape, 1.5, np.float32), strict=True)


def test_constant_fill_takes_its_input_for_a_shape():
    body = (
        "g (int64[2] x) => (int32[a, b] y) "
        "{ y = ConstantFill<input_as_shape = 1, dtype = 6, value = 3.0>(x) }"
    )
    seen = converted(body, {"x": np.array([3, 2], np.int64)})
    np.testing.assert_array_equal(seen, np.full((3, 2), 3, np.int32), strict=True)


def test_constant_fill_with_two_shapes_is_refused():
    with pytest.raises(ConversionError, match="either the attribute shape or an input"):
        converted("g (float[N, 4] x) => (float[2] y) { y = ConstantFill<shape = [2]>(x) }")
