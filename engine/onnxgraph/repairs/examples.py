"""Small broken files as other exporters write them, in ONNX text, and the correct versions.

example("missing flatten").model      the file example("missing flatten").cases()    the results of
the framework that wrote it
"""

from collections.abc import Iterable
from dataclasses import dataclass

import onnx

from graphcore.errors import unknown_name
from graphcore.golden import Case
from onnxgraph.examples.examples import feeds
from onnxgraph.model import interface
from onnxgraph.running.run import Runner

FIX_GAMMA = """
<ir_version: 4, opset_import: ["" : 9], producer_name: "mxnet">
gluon (float[batch, 2, 4, 4] data) => (float[batch, 2, 4, 4] out)
<float[2] gamma0 = {2.0, 0.5}, float[2] gamma1 = {3.0, 3.0}, float[2] beta = {0.1, -0.2},
 float[2] mean = {0.3, 0.1}, float[2] var = {1.5, 0.7}>
{
    [bn0] normal = BatchNormalization<epsilon = 0.001>(data, gamma0, beta, mean, var)
    [act] positive = Relu(normal)
    [bn1] out = BatchNormalization<epsilon = 0.001>(positive, gamma1, beta, mean, var)
}
"""
"""bn0 was fix_gamma=True in MXNet, which then computes with ones whatever is stored. bn1 was
not."""

SPATIAL = """
<ir_version: 3, opset_import: ["" : 8], producer_name: "mxnet">
gluon (float[batch, 2, 4, 4] data, float[2] gamma, float[2] beta, float[2] mean, float[2] var)
 => (float[batch, 2, 4, 4] out)
<float[2] gamma = {2.0, 0.5}, float[2] beta = {0.1, -0.2}, float[2] mean = {0.3, 0.1},
 float[2] var = {1.5, 0.7}>
{
    [bn] out = BatchNormalization<epsilon = 0.001, spatial = 0>(data, gamma, beta, mean, var)
}
"""
"""spatial=0 asks for statistics of every pixel, but the file has statistics of each channel."""

COUNT_INCLUDE_PAD = """
<ir_version: 4, opset_import: ["" : 9], producer_name: "mxnet">
gluon (float[batch, 1, 4, 4] data) => (float[batch, 1, 4, 4] out)
{
    [pool] out = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(data)
}
"""
"""MXNet and Caffe count the padding. ONNX does not, unless the file says so."""

MISSING_FLATTEN = """
<ir_version: 4, opset_import: ["" : 9], producer_name: "mxnet">
gluon (float[batch, 2, 4, 4] data) => (float[batch, 3] out)
<float[3, 2] weight = {1.0, 2.0, -1.0, 0.5, 0.25, -2.0}, float[3] bias = {0.1, 0.2, 0.3}>
{
    [pool] pooled = GlobalAveragePool(data)
    [dense] out = Gemm<transB = 1>(pooled, weight, bias)
}
"""
"""A dense layer flattens by itself in the framework that wrote it, but Gemm needs matrices."""

DROPOUT = """
<ir_version: 7, opset_import: ["" : 13], producer_name: "pytorch">
trained (float[batch, 4] x) => (float[batch, 4] y)
<float[4, 4] weight = {1.0, 0.0, 2.0, 0.0, 0.0, 1.0, 0.0, 2.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0,
 3.0}, float ratio = {0.5}, bool training = {1}>
{
    [fc] hidden = MatMul(x, weight)
    [drop] kept = Dropout(hidden, ratio, training)
    [act] y = Relu(kept)
}
"""
"""Exported in training mode, so each run drops other values. onnxruntime's optimiser hides this."""

RESHAPE_CHAIN = """
<ir_version: 6, opset_import: ["" : 11], producer_name: "pytorch">
view (float[batch, 2, 3, 3] x) => (float[batch, 18] y)
<int64 first = {0}, int64[1] rest = {-1}>
{
    [act] positive = Relu(x)
    [shape] sizes = Shape(positive)
    [pick] batch_size = Gather<axis = 0>(sizes, first)
    [wrap] batch_dim = Unsqueeze<axes = [0]>(batch_size)
    [join] target = Concat<axis = 0>(batch_dim, rest)
    [view] y = Reshape(positive, target)
}
"""
"""The result of tracing `x.view(x.size(0), -1)`."""

SHAPE_CASTS = """
<ir_version: 6, opset_import: ["" : 11], producer_name: "tf2onnx">
casts (float[batch, 2, 3] x) => (float[batch, 6] y)
<int64 first = {0}, int64[1] rest = {-1}>
{
    [shape] sizes = Shape(x)
    [narrow] small = Cast<to = 6>(sizes)
    [widen] wide = Cast<to = 7>(small)
    [pick] batch_size = Gather<axis = 0>(wide, first)
    [wrap] batch_dim = Unsqueeze<axes = [0]>(batch_size)
    [again] same_dim = Cast<to = 7>(batch_dim)
    [join] target = Concat<axis = 0>(same_dim, rest)
    [view] y = Reshape(x, target)
}
"""
"""Shapes that are cast to int32 and back, and casts to the type that is already there."""

IMAGES = """
<ir_version: 7, opset_import: ["" : 13], producer_name: "pytorch">
net (float[batch, 3, 8, 6] images) => (float[batch, 2] scores)
<float[2, 3, 1, 1] weight = {1.0, -1.0, 0.5, 0.2, 0.4, -0.6}>
{
    [conv] planes = Conv(images, weight)
    [pool] pooled = GlobalAveragePool(planes)
    [flat] scores = Flatten(pooled)
}
"""
"""A net that takes normalised floats, channels first."""


@dataclass(frozen=True)
class Example:
    """A file in ONNX text, and the text of its correct version."""

    text: str
    meant: str

    def __repr__(self) -> str:
        """Return the file as text."""
        return self.text.strip()

    @property
    def model(self) -> onnx.ModelProto:
        """The file as it was written. It may be broken."""
        return onnx.parser.parse_model(self.text)

    def cases(self, *, batches: Iterable[int] = (1, 3), seed: int = 0) -> tuple[Case, ...]:
        """Return golden cases: seeded inputs, and the results of the framework that wrote the
        file."""
        meant = onnx.parser.parse_model(self.meant)
        runner, specs = Runner(meant), interface.inputs(meant)
        given = [(batch, feeds(specs, batch=batch, seed=seed)) for batch in batches]
        return tuple(Case(f"batch{batch}", each, runner.run(each)) for batch, each in given)


EXAMPLES = {
    "fix_gamma": Example(FIX_GAMMA, FIX_GAMMA.replace("{2.0, 0.5}", "{1.0, 1.0}")),
    "spatial": Example(SPATIAL, SPATIAL.replace(", spatial = 0", "")),
    "count_include_pad": Example(
        COUNT_INCLUDE_PAD, COUNT_INCLUDE_PAD.replace("pads =", "count_include_pad = 1, pads =")
    ),
    "missing flatten": Example(
        MISSING_FLATTEN,
        MISSING_FLATTEN.replace("Gemm<transB = 1>(pooled", "Gemm<transB = 1>(flat").replace(
            "    [dense]", "    flat = Flatten(pooled)\n    [dense]"
        ),
    ),
    "dropout": Example(DROPOUT, DROPOUT.replace("training = {1}", "training = {0}")),
    "reshape chain": Example(RESHAPE_CHAIN, RESHAPE_CHAIN),
    "shape casts": Example(SHAPE_CASTS, SHAPE_CASTS),
    "images": Example(IMAGES, IMAGES),
}


def example(name: str) -> Example:
    """Return an example by name.

    Raises:
        UnknownName: there is no example of that name.
    """
    if name not in EXAMPLES:
        raise unknown_name("example", name, EXAMPLES)
    return EXAMPLES[name]
