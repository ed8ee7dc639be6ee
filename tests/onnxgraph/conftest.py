"""Small graphs in ONNX text, which run in both environments."""

import numpy as np
import onnx
import pytest


def parse(text: str, *, opset: int = 13) -> onnx.ModelProto:
    """Return a checked model with shapes. `text` is one graph."""
    model = onnx.parser.parse_model(f'<ir_version: 7, opset_import: ["" : {opset}]>\n{text}')
    onnx.checker.check_model(model)
    return model


@pytest.fixture
def graph():
    return parse


@pytest.fixture
def values():
    """Return seeded float32 values of a shape."""

    def draw(*shape, seed=0):
        return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)

    return draw


@pytest.fixture
def chain():
    return parse(
        """
        chain (float[batch, 2, 3] x) => (float[batch, 6] y, float[batch, 2, 3] z)
        <int64[2] target = {0, 6}, float[3] bias = {1.0, 2.0, 3.0}> {
            [plus] sum = Add(x, bias)
            [clip] z = Relu(sum)
            [flat] y = Reshape(z, target)
        }
        """
    )
