"""Nodes of one name: ONNX allows them, and computes nothing by name; onnxruntime refuses them."""

import numpy as np
import pytest

from nbhelpers import convert, onnxgraph
from tests.convert.models import parse, seeded

TWINS = """g (float[1, 4] x) => (float[1, 2] y) {
    [a] h = MatMul(x, w)
    [a] z = Relu(h)
    [b] some = ReduceMax<keepdims = 0>(z)
    [a] on = Cast<to = 9>(some)
    [b] y = If(on) <
        then_branch = t () => (float[1, 2] p) { [a] m = Neg(z) [a] p = Add(m, z) },
        else_branch = e () => (float[1, 2] q) { [a] q = Identity(h) }
    >
}"""


@pytest.fixture(scope="module")
def model():
    return parse(TWINS, w=seeded(4, 2))


def expected(x):
    h = x @ seeded(4, 2)
    return h if (h <= 0).all() else np.zeros_like(h)


@pytest.mark.parametrize("target", ["tf1.4", "tf2"])
def test_they_convert_and_every_layer_is_compared(model, target):
    names = [node.name for node in model.graph.node]
    made = convert.onnx2tf(model, None, target=target)
    assert made.proven
    for x in (seeded(1, 4), np.zeros((1, 4), np.float32)):
        seen = convert.run_conversion(made, {"x": x})
        np.testing.assert_allclose(seen["y"], expected(x), atol=1e-6)
        assert convert.compare_layers(model, made, {"x": x}).ok
    assert [node.name for node in model.graph.node] == names


def test_they_run_and_get_a_dynamic_batch(tmp_path):
    model = parse(
        """g (float[1, 4] x) => (float[1, 2] y) {
        [a] h = MatMul(x, w)
        [a] y = Relu(h)
    }""",
        w=seeded(4, 2),
    )
    onnxgraph.save(model, tmp_path / "twins.onnx")
    rows = seeded(3, 4)
    dynamic = onnxgraph.make_batch_dynamic(onnxgraph.load(tmp_path / "twins.onnx")).model
    seen = onnxgraph.run_onnx(dynamic, {"x": rows}, fetch=["h", "y"])
    np.testing.assert_allclose(seen["h"], rows @ seeded(4, 2), rtol=1e-5)
    assert onnxgraph.lower_opset(dynamic, 9).reports
