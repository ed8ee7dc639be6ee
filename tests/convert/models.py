"""Small ONNX models as text, small graphs, and seeded numbers."""

import numpy as np
import onnx

from nbhelpers import convert

NETWORK = """
network (float[N, 3, 9, 11] images) => (float[N, 4] scores, float[N, 2] "aux/out:0") {
    [stem_conv] hidden = Conv<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>
        (images, w1, b1)
    [stem_relu] active = Relu(hidden)
    [pool] pooled = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(active)
    [body] wide = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(pooled, w2, b2)
    [join] joined = Add(wide, pooled)
    [gap] mean = GlobalAveragePool(joined)
    [flat] flat = Flatten(mean)
    [head] scores = Gemm<transB = 1>(flat, w3, b3)
    [aux] "aux/out:0" = Gemm<transB = 1>(flat, w4, b4)
}
"""


def parse(body, *, opset=13, **weights):
    """Return a model from ONNX text, with `weights` as initializers."""
    model = onnx.parser.parse_model(f'<ir_version: 7, opset_import: ["" : {opset}]>\n{body}')
    for name, value in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    return model


def graph_of(make, **inputs):
    """Return a GraphDef with placeholders of the given dtype and shape, and `y` as its output."""
    tf = convert.tensorflow()
    graph = tf.Graph()
    with graph.as_default():
        fed = [tf.compat.v1.placeholder(d, shape, name=n) for n, (d, shape) in inputs.items()]
        tf.identity(make(tf, *fed), name="y")
    return graph.as_graph_def()


def seeded(*shape, dtype=np.float32, seed=0):
    """Return seeded normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)
