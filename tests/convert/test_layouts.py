"""Layouts that are moved to NHWC and back only where the caller's own tensors need it."""

import numpy as np
import pytest

from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.models import parse, seeded

SHUFFLE = """
r = Reshape(c, apart) t = Transpose<perm = [0, 2, 1, 3, 4]>(r) s = Reshape(t, whole)
a, b = Split<axis = 1>(s) d = Conv<pads = [1, 1, 1, 1]>(a, w2) j = Concat<axis = 1>(d, b)
"""
EXCITE = """
m = GlobalAveragePool(c) e = Conv(m, w3) f = HardSigmoid(e) j = Mul(c, f)
"""
CHANNELS_LAST = """
l = Transpose<perm = [0, 2, 3, 1]>(c) n = LayerNormalization(l, scale)
p = Transpose<perm = [0, 3, 1, 2]>(n) q = Mul(p, gains) r = Add(q, c) j = Conv(r, w3)
"""
BLOCKS = {
    "a shuffle of channels": (SHUFFLE, 3),  # one of them is the shuffle itself
    "squeeze and excite": (EXCITE, 2),
    "channels last by hand": (CHANNELS_LAST, 2),
    "a head of rows": ("m = GlobalMaxPool(c) j = Flatten(m)", 1),
    "a head that squeezes": ("m = ReduceMean<axes = [2, 3]>(c) j = Squeeze(m, last)", 1),
    "a head that reshapes": ("m = GlobalAveragePool(c) j = Reshape(m, rows)", 1),
    "a pool of one cell": ("j = MaxPool<kernel_shape = [1, 1]>(c)", 2),
}


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
@pytest.mark.parametrize(("block", "transposes"), BLOCKS.values(), ids=BLOCKS)
def test_images_stay_in_one_layout(block, transposes, target):
    model = parse(
        "g (float[N, 3, 5, 7] x) => (float y) "
        f"{{ c = Conv<pads = [1, 1, 1, 1]>(x, w1) {block} y = Relu(j) }}",
        w1=seeded(6, 3, 3, 3),
        w2=seeded(3, 3, 3, 3),
        w3=seeded(6, 6, 1, 1),
        scale=seeded(6),
        gains=seeded(6, 1, 1),
        apart=np.array([0, 3, 2, 5, 7]),
        whole=np.array([-1, 6, 5, 7]),
        rows=np.array([0, -1]),
        last=np.array([2, 3]),
        opset=17,
    )
    conversion = convert.onnx2tf(model, None, target=target, verify=False)
    for batch in (1, 3):
        feeds = {"x": seeded(batch, 3, 5, 7, seed=batch)}
        expected = onnxgraph.run_onnx(model, feeds)
        compare(expected, convert.run_conversion(conversion, feeds)).check()
    assert conversion.steps[-1].transposes == transposes
    assert "MaxPool" not in convert.op_histogram(conversion.graph_def)
