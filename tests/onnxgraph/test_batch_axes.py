"""Which inputs carry the batch: states along the axis that fits them, others shared or asked."""

import contextlib
import io
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from graphcore.errors import GraphError, UnknownName
from nbhelpers import onnxgraph


class Recurrent(nn.Module):
    def __init__(self, kind, layers=1, *, both=False, batch_first=True):
        super().__init__()
        self.many = kind == "LSTM"
        self.inner = getattr(nn, kind)(3, 4, layers, batch_first=batch_first, bidirectional=both)

    def forward(self, x, *state):
        y, after = self.inner(x, state if self.many else state[0])
        return (y, *after) if self.many else (y, after)


class Cell(nn.Module):
    """A recurrent cell of plain operators, whose state has a layer in front."""

    def __init__(self):
        super().__init__()
        self.own, self.back = nn.Linear(3, 4), nn.Linear(4, 4)

    def forward(self, x, h):
        after = torch.tanh(self.own(x) + self.back(h[0]))
        return after, after[None]


class Decoder(nn.Module):
    """An attention over past and new keys and values."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(8, 24)

    def forward(self, x, keys, values):
        b, t, _ = x.shape
        q, k, v = self.mix(x).view(b, t, 3, 2, 4).permute(2, 0, 3, 1, 4)
        k, v = torch.cat([keys, k], 2), torch.cat([values, v], 2)
        seen = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        return seen.transpose(1, 2).reshape(b, t, 8), k, v


class Stacked(Decoder):
    def forward(self, x, past):
        y, k, v = super().forward(x, past[0], past[1])
        return y, torch.stack([k, v])


def exported(module, shapes, path, **options):
    quiet = contextlib.redirect_stdout(io.StringIO())
    with quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), tuple(torch.randn(*shape) for shape in shapes), path,
            dynamo=False, opset_version=14, input_names=[f"i{n}" for n in range(len(shapes))],
            **options,
        )  # fmt: skip
    return onnxgraph.load(path)


def agrees(module, model, shapes):
    feeds = {f"i{n}": torch.randn(*shape) for n, shape in enumerate(shapes)}
    with torch.no_grad():
        wanted = module(*feeds.values())
    seen = onnxgraph.run_onnx(model, {name: value.numpy() for name, value in feeds.items()})
    for one, two in zip(seen.values(), wanted, strict=True):
        np.testing.assert_allclose(one, two.numpy(), atol=1e-5)


B = "batch"
STATES = {  # module, shapes of its inputs
    "LSTM of one layer": (lambda: Recurrent("LSTM"), [(B, 5, 3), (1, B, 4), (1, B, 4)]),
    "LSTM of two layers": (lambda: Recurrent("LSTM", 2), [(B, 5, 3), (2, B, 4), (2, B, 4)]),
    "GRU in both directions": (lambda: Recurrent("GRU", both=True), [(B, 5, 3), (2, B, 4)]),
    "plain operators": (Cell, [(B, 3), (1, B, 4)]),
    "past keys and values": (Decoder, [(B, 2, 8), (B, 2, 3, 4), (B, 2, 3, 4)]),
    "past, stacked": (Stacked, [(B, 2, 8), (2, B, 2, 3, 4)]),
}


def sized(shapes, batch):
    return [tuple(batch if dim == B else dim for dim in shape) for shape in shapes]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", STATES)
def test_each_row_has_its_own_state(name, batch, tmp_path):
    torch.manual_seed(0)
    make, shapes = STATES[name]
    module = make()
    model = exported(module, sized(shapes, batch), tmp_path / "m.onnx")
    result = onnxgraph.make_batch_dynamic(model)
    assert [spec.shape for spec in onnxgraph.inputs(result.model)] == shapes
    assert all("batch" in spec.shape for spec in onnxgraph.outputs(result.model))
    for rows in (1, 3):
        agrees(module, result.model, sized(shapes, rows))


def test_a_batch_that_is_nowhere_first_is_asked_for(tmp_path):
    module = Recurrent("RNN", batch_first=False)
    model = exported(module, [(5, 1, 3), (1, 1, 4)], tmp_path / "m.onnx")
    with pytest.raises(GraphError, match=r"looked for at axes=\{.*; if it is elsewhere, say where"):
        onnxgraph.make_batch_dynamic(model)
    result = onnxgraph.make_batch_dynamic(model, axes={"i0": 1, "i1": 1})
    assert [spec.shape for spec in onnxgraph.inputs(result.model)] == [(5, B, 3), (1, B, 4)]
    assert "input 'i1', axis 1: batch 1 → 'batch'" in repr(result)
    agrees(module, result.model, [(5, 4, 3), (1, 4, 4)])


def test_one_state_for_all_rows_is_made_if_the_caller_says_so(tmp_path, values):
    module = Recurrent("GRU", 2)
    model = exported(module, [(1, 5, 3), (2, 1, 4)], tmp_path / "m.onnx")
    result = onnxgraph.make_batch_dynamic(model, axes={"i0": 0})
    assert onnxgraph.inputs(result.model)[1].shape == (2, 1, 4)
    assert "input 'i1': the same for all rows" in repr(result)
    x, h = values(3, 5, 3), values(2, 1, 4, seed=1)
    with torch.no_grad():
        wanted, _ = module(torch.tensor(x), torch.tensor(h.repeat(3, axis=1)))
    seen = next(iter(onnxgraph.run_onnx(result.model, {"i0": x, "i1": h}).values()))
    np.testing.assert_allclose(seen, wanted.numpy(), atol=1e-5)


def test_states_of_a_fixed_batch_beside_an_input_of_a_symbolic_one(tmp_path):
    module = Recurrent("LSTM", 2)
    shapes = [(B, 5, 3), (2, B, 4), (2, B, 4)]
    model = exported(module, sized(shapes, 1), tmp_path / "m.onnx", dynamic_axes={"i0": {0: "N"}})
    for result in (
        onnxgraph.make_batch_dynamic(model),
        onnxgraph.make_batch_dynamic(model, axes={"i1": 1, "i2": 1}),
    ):
        named = [tuple("N" if dim == B else dim for dim in shape) for shape in shapes]
        assert [spec.shape for spec in onnxgraph.inputs(result.model)] == named
        agrees(module, result.model, sized(shapes, 3))


ANCHORS = """g (float[9, 4] anchors, float[1, 3, 4, 4] image) => (float[1, 9, 4] boxes)
    <int64[1] a = {1}> {
        s = ReduceMean<axes = [1, 2, 3], keepdims = 0>(image)
        k = Unsqueeze(s, a)
        m = Unsqueeze(k, a)
        boxes = Mul(anchors, m)
    }"""

SHARED = {  # what is no row: shapes of the inputs afterwards
    "anchors, first": (ANCHORS, [(9, 4), (B, 3, 4, 4)]),
    "a size of two": (
        """g (float[1, 3, 4, 4] image, float[2] size) => (float[1, 3, 4, 4] y) {
            s = ReduceSum(size)
            y = Mul(image, s)
        }""",
        [(B, 3, 4, 4), (2,)],
    ),
    "a threshold of one value": (
        """g (float[1, 3] x, float[1] low) => (float[1, 3] y) {
            s = Squeeze(low)
            y = Clip(x, s)
        }""",
        [(B, 3), (1,)],
    ),
    "a mean for each channel": (
        """g (float[1, 3, 4, 5] x, float[3, 1, 1] m) => (float[1, 3, 4, 5] y) {
            y = Sub(x, m)
        }""",
        [(B, 3, 4, 5), (3, 1, 1)],
    ),
    "a prompt joined to each row": (
        """g (float[2, 3, 4] x, float[1, 1, 4] word) => (float[2, 4, 4] y)
        <int64[3] t = {2, 1, 4}> { w = Expand(word, t) y = Concat<axis = 1>(w, x) }""",
        [(B, 3, 4), (1, 1, 4)],
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_what_cannot_differ_between_rows_is_shared(graph, values, name):
    text, shapes = SHARED[name]
    model = graph(text)
    result = onnxgraph.make_batch_dynamic(model)
    assert [spec.shape for spec in onnxgraph.inputs(result.model)] == shapes
    was = [spec.shape for spec in onnxgraph.inputs(model)]
    names = [spec.name for spec in onnxgraph.inputs(model)]
    batch = next(
        int(b)
        for a, b in zip(shapes, was, strict=True)
        for d, b in zip(a, b, strict=True)
        if d == B
    )
    feeds = {n: values(*s, seed=7) for n, s in zip(names, sized(shapes, 2 * batch), strict=True)}
    halves = []
    for part in (slice(0, batch), slice(batch, 2 * batch)):
        given = {
            n: v[part] if B in s else v for (n, v), s in zip(feeds.items(), shapes, strict=True)
        }
        halves.append(next(iter(onnxgraph.run_onnx(model, given).values())))
    seen = next(iter(onnxgraph.run_onnx(result.model, feeds).values()))
    np.testing.assert_allclose(seen, np.concatenate(halves), rtol=1e-6)


def test_the_caller_decides_what_the_batch_is(graph, values):
    result = onnxgraph.make_batch_dynamic(graph(ANCHORS), axes={"anchors": 0})
    shapes = [spec.shape for spec in onnxgraph.inputs(result.model)]
    assert shapes == [(B, 4), (1, 3, 4, 4)]
    assert onnxgraph.outputs(result.model)[0].shape == (1, B, 4)


def test_two_batches_are_asked_for(graph):
    model = graph(
        """g (float[2, 3] a, float[3, 4] b) => (float[2, 3] y, float[3, 4] z) {
            y = Relu(a)
            z = Relu(b)
        }"""
    )
    with pytest.raises(GraphError, match="It is not certain which inputs carry the batch") as asked:
        onnxgraph.make_batch_dynamic(model)
    for words in ("a:float32:2,3, b:float32:3,4", "Say which is meant: axes={'a': 0} or "):
        assert words in str(asked.value)
    result = onnxgraph.make_batch_dynamic(model, axes={"a": 0})
    assert [spec.shape for spec in onnxgraph.inputs(result.model)] == [(B, 3), (3, 4)]


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"x": 0, "t": 0}, "must be one size .* 'x' has 1 at axis 0, 't' has 2 at axis 0"),
        ({"x": 2}, "x:float32:1,3 has no axis 2; its axes are 0 to 1"),
        ({}, "must name one input at least"),
    ],
)
def test_axes_that_cannot_be(graph, axes, words):
    model = graph(
        "g (float[1, 3] x, float[2] t) => (float[1, 3] y) { s = ReduceSum(t) y = Mul(x, s) }"
    )
    with pytest.raises(GraphError, match=words):
        onnxgraph.make_batch_dynamic(model, axes=axes)
    with pytest.raises(UnknownName, match="no input named 'X'"):
        onnxgraph.make_batch_dynamic(model, axes={"X": 0})


@pytest.mark.parametrize(("label", "batch"), [("N", 1), ("any", 2), ("", 3)])
def test_a_label_over_nodes_that_hold_a_size(graph, values, label, batch):
    zeros = ", ".join(["0."] * 2 * batch)
    model = graph(
        f"""g (float[N, 2, 2] x) => (float[N, 6] y)
        <int64[2] target = {{{batch}, 4}}, float[{batch}, 2] zeros = {{{zeros}}}> {{
            flat = Reshape(x, target)
            y = Concat<axis = 1>(flat, zeros)
        }}"""
    )
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_param = label
    result = onnxgraph.make_batch_dynamic(model)
    wanted = label or "x_dim0"
    assert onnxgraph.inputs(result.model)[0].shape == (wanted, 2, 2)
    assert onnxgraph.outputs(result.model)[0].shape == (wanted, 6)
    x = values(5, 2, 2)
    expected = np.pad(x.reshape(5, 4), ((0, 0), (0, 2)))
    np.testing.assert_array_equal(onnxgraph.run_onnx(result.model, {"x": x})["y"], expected)


def test_an_output_of_two_ranks_is_refused(tmp_path):
    class Net(nn.Module):
        def forward(self, x):
            return (x * 2).mean(3, keepdim=True).squeeze(2)

    dynamic = {"i0": {0: "batch", 2: "height", 3: "width"}}
    model = exported(Net(), [(2, 3, 5, 6)], tmp_path / "m.onnx", dynamic_axes=dynamic)
    with pytest.raises(GraphError, match=r"has rank 4 in a run.* squeeze which depends on a size"):
        onnxgraph.fix_dims(model, {"batch": 1})
    with pytest.raises(GraphError, match="has rank 4 in a run"):
        onnxgraph.make_batch_dynamic(model)
    label = onnxgraph.fix_dims(model, {"batch": 1, "height": 1, "width": 4})
    assert onnxgraph.outputs(label.model)[0].shape == (1, 3, 1)
    assert onnxgraph.run_onnx(label.model, {"i0": np.ones((1, 3, 1, 4), np.float32)})
