"""Whole ONNX models, small and of several kinds, from which the damaged ones are made."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import helper, numpy_helper

_TEXTS = {
    "convolutions": """
        g (float[N, 2, 7, 5] x) => (float[N, 3] y, float[N, 2, 4, 3] pooled) {
            [conv] h = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]>(x, w, b)
            [norm] n = BatchNormalization(h, b, b, b, b)
            [relu] a = Relu(n)
            [pool] pooled = MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(a)
            [mean] m = GlobalAveragePool(pooled)
            [flat] f = Flatten(m)
            [gemm] y = Gemm<transB = 1>(f, v, c)
        }""",
    "sizes": """
        g (float[N, 6] x) => (float[N, 3, 2] y, float[N, 4] z) <int64[2] ends = {3, 2}> {
            s = Shape(x)
            zero = Constant<value_ints = [0]>()
            n = Gather(s, zero)
            sizes = Concat<axis = 0>(n, ends)
            r = Reshape(x, sizes)
            [t] y = Tanh(r)
            one = Constant<value_ints = [1]>()
            five = Constant<value_ints = [5]>()
            [part] p = Slice(x, one, five, one)
            low = Constant<value_float = -1.0>()
            z = Clip(p, low)
        }""",
    "fixed batch": """
        g (float[2, 6] x, float[2, 3] state) => (float[2, 12] y)
        <int64[2] shape = {2, 12}, int64[2] reps = {1, 2}, int64[4] pads = {0, 0, 0, 3}> {
            [tile] t = Tile(x, reps)
            [pad] p = Pad(state, pads)
            [cat] k = Concat<axis = 1>(p, x)
            [add] a = Add(t, k)
            [shape] y = Reshape(a, shape)
        }""",
    "branches": """
        g (float[N, 3] x, bool flag) => (float[N, 3] y, float[N, 3] last)
        <int64 trips = {3}, bool go = {1}> {
            [if] y = If (flag) <
                then_branch = a () => (float[N, 3] p) { p = Relu(x) },
                else_branch = b () => (float[N, 3] q) { [neg] n = Neg(x) q = Exp(n) }>
            [loop] last = Loop (trips, go, x) <body = c
                (int64 i, bool k, float[N, 3] s) => (bool k_, float[N, 3] s_) {
                    k_ = Identity(k) s_ = Add(s, s) }>
        }""",
    "recurrent": """
        g (float[5, N, 4] x) => (float[5, 1, N, 3] y, float[1, N, 3] h) {
            [lstm] y, h, c = LSTM<hidden_size = 3>(x, w, r, b)
        }""",
    "quantised": """
        g (float[N, 8] x) => (float[N, 4] y) <float scale = {0.1}, uint8 zero = {128}> {
            [q] q = QuantizeLinear(x, scale, zero)
            [d] d = DequantizeLinear(q, scale, zero)
            [mm] m = MatMul(d, w)
            [soft] y = Softmax<axis = -1>(m)
        }""",
    "made sizes": """
        g (float[1, 2, 4, 4] x, int64[2] wanted) => (float[1, 2, H, W] y, int64[R] r, float[A, B] f)
        <float[0] roi = {}, float[4] scales = {1, 1, 2, 2}, int64 start = {0}, int64 limit = {6},
         int64 delta = {2}> {
            [resize] y = Resize<mode = "linear">(x, roi, scales)
            [range] r = Range(start, limit, delta)
            [fill] f = ConstantOfShape(wanted)
        }""",
    "einsum": """
        g (float[N, 3, 4] x) => (float[N, 3, 3] y, float[3, 4] w_, float[N, 2, 4] s) {
            [product] y = Einsum<equation = "bij,bkj->bik">(x, x)
            w_ = Identity(weight)
            [first] a, s = Split<axis = 1>(x, parts)
        }""",
}

_FUNCTIONS = """
<ir_version: 8, opset_import: ["" : 18, "own" : 1]>
g (float[N, 4] x) => (float[N, 4] y, float[N, 4] z) {
    [outer] y = own.outer(x)
    [inner] z = own.inner<alpha = 0.5>(y)
}
<domain: "own", opset_import: ["" : 18, "own" : 1]>
outer (a) => (c) { b = own.inner<alpha = 0.1>(a) c = Add(b, a) }
<domain: "own", opset_import: ["" : 18]>
inner <alpha: float = 0.2> (a) => (c) { c = LeakyRelu<alpha: float = @alpha>(a) }
"""

_NEW = """
<ir_version: 9, opset_import: ["" : 20]>
g (float[N, 5, 8] x) => (float[N, 5, 8] y) {
    [norm] n = LayerNormalization<axis = -1>(x, w, b)
    [gelu] u = Gelu(n)
    axes = Constant<value_ints = [-1]>()
    [mean] m = ReduceMean<keepdims = 1>(u, axes)
    [sub] y = Sub(u, m)
}
"""

_TEXT = """
<ir_version: 8, opset_import: ["" : 13]>
g (string[N] x, seq(float[N]) s) => (string[N] y, int64 n) {
    y = Identity(x)
    [length] n = SequenceLength(s)
}
"""


def models() -> dict[str, dict[str, bytes]]:
    """Return name to files. The model is the first file."""
    found = {name: _parsed(_HEAD + text) for name, text in _TEXTS.items()}
    found |= {"functions": _parsed(_FUNCTIONS), "new": _parsed(_NEW), "text": _parsed(_TEXT)}
    weights = {
        "convolutions": {"w": (2, 2, 3, 3), "b": (2,), "v": (3, 2), "c": (3,)},
        "recurrent": {"w": (1, 12, 4), "r": (1, 12, 3), "b": (1, 24)},
        "quantised": {"w": (8, 4)},
        "einsum": {"weight": (3, 4)},
        "new": {"w": (8,), "b": (8,)},
    }
    for name, shapes in weights.items():
        for number, (weight, shape) in enumerate(shapes.items()):
            value = np.random.default_rng(number).random(shape, np.float32)
            found[name].graph.initializer.append(numpy_helper.from_array(value, weight))
    parts = numpy_helper.from_array(np.array([1, 2]), "parts")
    found["einsum"].graph.initializer.append(parts)
    found["sparse"] = _sparse()
    files = {name: {"model.onnx": each.SerializeToString()} for name, each in found.items()}
    return files | {"external": _external(found["convolutions"])}


_HEAD = '<ir_version: 7, opset_import: ["" : 13]>\n'


def _parsed(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(text)


def _sparse() -> onnx.ModelProto:
    model = _parsed(_HEAD + "g (float[N, 4] x) => (float[N, 3] y) { [mm] y = MatMul(x, w) }")
    values = helper.make_tensor("w", onnx.TensorProto.FLOAT, [2], [1.0, 2.0])
    indices = helper.make_tensor("places", onnx.TensorProto.INT64, [2], [1, 7])
    weight = helper.make_sparse_tensor(values, indices, [4, 3])
    model.graph.sparse_initializer.append(weight)
    return model


def _external(model: onnx.ModelProto) -> dict[str, bytes]:
    """Return a model whose weights are in a second file."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        options = {"all_tensors_to_one_file": True, "location": "weights.bin"}
        copy = onnx.ModelProto.FromString(model.SerializeToString())
        onnx.save_model(copy, path, save_as_external_data=True, size_threshold=0, **options)
        return {name: Path(folder, name).read_bytes() for name in ("model.onnx", "weights.bin")}
