"""A model in an older opset computes the same at any size, or each node in the way is named."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from graphcore.errors import GraphError, ParityError
from nbhelpers.onnxgraph import load, lower_opset, op_histogram, opset, run_onnx, same
from onnxgraph.lowering import lowered

RELEASED_WITH = {13: 7, 11: 6, 9: 4}
"""The IR version of the time of each opset."""


class Encoder(nn.Module):
    """A transformer encoder with embeddings, a mask that is made as it runs, and a head."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, activation="gelu")
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 7)

    def forward(self, tokens):
        mask = torch.ones(tokens.shape[1], tokens.shape[1]).triu(1).bool()
        hidden = self.layers(self.embedding(tokens), mask=mask, is_causal=False)
        return self.head(hidden).log_softmax(1)


class Network(nn.Module):
    """A convolutional network with the ops that changed most."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.Mish())
        self.second = nn.Sequential(nn.Conv2d(4, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish())
        self.pool = nn.AvgPool2d(3, 2, 1, count_include_pad=False)

    def forward(self, x):
        low, high = self.first(x).chunk(2, 1)
        y = self.second(low) + self.pool(torch.cat([high, high], 1))
        y = nn.functional.interpolate(y, scale_factor=2.0, mode="bilinear")
        y = nn.functional.pad(y, (1, 2, 0, 1), mode="reflect")
        return y.clamp(-1.0, 0.9).mean((2, 3)), y.amax(1)


def exported(module, given, folder):
    path = folder / "dynamo.onnx"
    shapes = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(
        module.eval(), (given,), path, dynamo=True, dynamic_shapes=shapes, external_data=False
    )
    return load(path)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    torch.manual_seed(0)
    tokens, images = torch.randint(0, 50, (2, 6)), torch.randn(2, 3, 10, 14)
    return {
        "encoder": exported(Encoder(), tokens, tmp_path_factory.mktemp("encoder")),
        "network": exported(Network(), images, tmp_path_factory.mktemp("network")),
    }


@pytest.mark.parametrize("target", [13, 11, 9])
@pytest.mark.parametrize("name", ["encoder", "network"])
def test_exports_of_the_dynamo_exporter(name, target, exports):
    before = exports[name]
    assert opset(before) >= 18
    kept = before.SerializeToString()
    result = lower_opset(before, target, batches=(1, 2, 5))
    assert before.SerializeToString() == kept
    assert (opset(result.model), result.model.ir_version) == (target, RELEASED_WITH[target])
    assert [report.title for report in result.reports] == ["batch 1", "batch 2", "batch 5"]
    assert f"opset {opset(before)} → {target}" in repr(result)
    assert not any(node.metadata_props for node in result.model.graph.node)


def test_large_weights_are_kept_as_they_were(exports):
    before = exports["encoder"]
    after = lower_opset(before, 11).model
    weights = {t.name: t.SerializeToString() for t in before.graph.initializer}
    mine = {t.name: t for t in after.graph.initializer if t.name in weights}
    assert len(mine) > 20
    for name, tensor in mine.items():
        was = onnx.TensorProto.FromString(weights[name])
        assert np.array_equal(numpy_helper.to_array(tensor), numpy_helper.to_array(was))


TEXTS = {
    "shapes": (
        18,
        """
        g (float[n, 4, m] x) => (float[a, b, c] y, int64[k] s)
        <int64[1] first = {0}, int64 zero = {0}, int64 two = {2}, int64[1] axis = {1}> {
            s = Shape<start = 0, end = 2>(x)
            whole = Shape(x)
            last = Gather(whole, two)
            tail = Unsqueeze(last, first)
            target = Concat<axis = 0>(s, tail)
            flat = Reshape<allowzero = 1>(x, target)
            mean = ReduceMean<keepdims = 1>(flat, axis)
            centred = Sub(flat, mean)
            low = Trilu<upper = 0>(centred, zero)
            up = Trilu(centred, two)
            sum = Add(low, up)
            p = Softmax<axis = 1>(sum)
            q, r = Split<num_outputs = 2, axis = 1>(p)
            y = Sub(q, r)
        }
        """,
    ),
    "normalisations": (
        21,
        """
        g (float[n, 6, 5, 3] x, float[5, 3] scale, float[6] by_channel, float[6] bias)
         => (float[n, 6, 5, 3] y, float[n, 6, 5, 3] z) {
            h = LayerNormalization<axis = 2>(x, scale)
            y = Gelu<approximate = "tanh">(h)
            z = GroupNormalization<num_groups = 3>(x, by_channel, bias)
        }
        """,
    ),
    "attention": (
        23,
        """
        g (float[n, 2, 5, 8] q, float[n, 2, 5, 8] k, float[n, 2, 5, 8] v, float[n, 5, 4] angle,
           float[8] scale) => (float[n, 2, 5, 8] y) {
            cos = Cos(angle)
            sin = Sin(angle)
            turned = RotaryEmbedding(q, cos, sin)
            mixed = Attention<is_causal = 1>(turned, k, v)
            y = RMSNormalization(mixed, scale)
        }
        """,
    ),
    "pictures": (
        20,
        """
        g (float[n, 2, 6, 5] x, float[n, 4, 3, 2] grid)
         => (float[n, 2, 4, 3] y, float[a, b, c, d] z)
        <float[2] scales = {2.0, 0.6}, int64[4] pads = {1, 2, 0, 1}, int64[2] axes = {2, -1}> {
            y = GridSample<mode = "linear", padding_mode = "border">(x, grid)
            padded = Pad<mode = "wrap">(x, pads, , axes)
            z = Resize<mode = "linear", axes = [2, 3], antialias = 1>(padded, , scales)
        }
        """,
    ),
    "einsum": (
        13,
        """
        g (float[n, 3, 4, 5] a, float[n, 4, 6, 3] b) => (float[n, 4, 5, 6] y, float[k] z) {
            y = Einsum<equation = "bhqd, bqkh -> bqdk">(a, b)
            s = Einsum<equation = "bhqd, bqkh -> h">(a, b)
            z = Identity(s)
        }
        """,
    ),
}


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("shapes", (13, 11, 9)),
        ("normalisations", (17, 13, 11, 9)),
        ("attention", (22, 18, 13, 11)),
        ("pictures", (19, 17, 13, 11)),
        ("einsum", (12, 11, 9)),
    ],
)
def test_ops_that_changed_agree_at_any_size(name, targets, graph):
    version, text = TEXTS[name]
    before = graph(text, opset=version)
    for target in targets:
        result = lower_opset(before, target, batches=(1, 2, 5))
        assert opset(result.model) == target
        assert max(report.worst for report in result.reports) < 1e-5


def test_what_is_right_but_for_empty_tensors_is_said(graph):
    version, text = TEXTS["shapes"]
    said = repr(lower_opset(graph(text, opset=version), 13))
    assert "its shape is computed: right for all but empty tensors" in said


def test_every_node_in_the_way_is_named_with_its_reason(graph):
    model = graph(
        """
        g (float[n, 4] x, int64[1] k, int64[n, 4] i)
         => (float[n, 4] y, int64[n, 4] z, float[n, 4] w)
        {
            [sum] s = ReduceSum(x, k)
            [bits] z = BitwiseAnd(i, i)
            [place] y = ScatterElements<axis = 1, reduction = "max">(x, i, s)
            [fine] w = Relu(x)
        }
        """,
        opset=18,
    )
    with pytest.raises(GraphError) as refusal:
        lower_opset(model, 12)
    said = str(refusal.value)
    assert said.startswith("The model cannot be lowered from opset 18 to 12: 3 nodes stand in the")
    assert "'bits' (BitwiseAnd-18): there is no such op before opset 18" in said
    assert "'place' (ScatterElements-18): it has reduction=max" in said
    assert "'sum' (ReduceSum-13): its axes ('k') must be constant, not computed" in said
    assert "fine" not in said
    one = graph("g (float[2] x, int64[1] k) => (float[1] y) { y = ReduceSum(x, k) }", opset=15)
    with pytest.raises(GraphError, match=r"1 node stands in the way.*opset 13 nothing stands"):
        lower_opset(one, 12)


def test_types_that_came_later_are_refused_or_computed_in_wider_ones(graph):
    wider = graph("g (int8[n, 3] x) => (int8[n, 3] y) { y = Add(x, x) }", opset=14)
    result = lower_opset(wider, 13)
    x = np.array([[100, -100, 7]], np.int8)
    assert op_histogram(result.model) == {"Cast": 3, "Add": 1}
    assert np.array_equal(run_onnx(result.model, {"x": x})["y"], x + x)
    half = graph("g (bfloat16[n] x) => (bfloat16[n] y) { y = Add(x, x) }", opset=13)
    with pytest.raises(GraphError, match=r"tensor\(bfloat16\).*export it in float32"):
        lower_opset(half, 12)


def test_branches_and_functions_are_lowered_too():
    model = onnx.parser.parse_model(
        """
        <ir_version: 8, opset_import: ["" : 18, "own" : 1]>
        g (float[n, 1, 4] x, bool c) => (float[n, 4] y) <int64[1] axis = {1}> {
            y = If (c) <
                then_branch = t () => (float[n, 4] a) { a = Squeeze(x, axis) },
                else_branch = e () => (float[n, 4] b) {
                    m = own.twice(x)
                    b = Squeeze(m, axis)
                }
            >
        }
        <opset_import: ["" : 18], domain: "own">
        twice (p) => (q) {
            r = HardSwish(p)
            q = Add(r, r)
        }
        """
    )
    after = lowered(model, 11)[0]
    assert not after.functions
    assert [entry.domain for entry in after.opset_import] == [""]
    x = np.linspace(-4, 4, 12, dtype=np.float32).reshape(3, 1, 4)
    for condition in (np.array(True), np.array(False)):
        feeds = {"x": x, "c": condition}
        assert np.allclose(run_onnx(model, feeds)["y"], run_onnx(after, feeds)["y"], atol=1e-6)


def test_opsets_newer_than_onnxruntime_are_proven_by_the_reference(graph):
    newest = onnx.defs.onnx_opset_version()
    model = graph("g (float[n, 3] x) => (float[n, 3] y) { y = Mish(x) }", opset=newest)
    result = lower_opset(model, 13)
    assert "by ONNX's reference" in result.reports[0].title
    assert result.reports[1].worst < 1e-6


def test_the_result_is_compared_before_it_is_given_back(graph, monkeypatch):
    from onnxgraph.lowering import steps

    model = graph("g (float[n, 3] x) => (float[n, 3] y) { y = HardSwish(x) }", opset=14)
    wrong = {("HardSwish", 14): lambda site: site.give("Relu", site.input(0))}
    monkeypatch.setattr(steps, "RULES", wrong)
    with pytest.raises(ParityError, match=r"batch 1: 1 of 1 tensors differ"):
        lower_opset(model, 13)


def test_only_older_opsets_can_be_asked_for(chain):
    assert "nothing to change" in repr(lower_opset(chain, 13))
    for asked in (14, 8):
        with pytest.raises(GraphError, match=f"can be lowered to 9 … 13, but {asked} was asked"):
            lower_opset(chain, asked)
    assert same(chain, lower_opset(chain, 9).model)
