"""Row numbers, offsets, learnt constants and squeezes, written for one batch, at any batch."""

import contextlib
import io
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from graphcore.errors import GraphError
from nbhelpers import onnxgraph


class Picks(nn.Module):
    """Gathers the best places of each row from rows laid flat."""

    def forward(self, x):
        b, n, c = x.shape
        places = x[..., 0].topk(3, dim=1).indices
        offsets = torch.arange(b)[:, None] * n
        return x.reshape(b * n, c)[(places + offsets).reshape(-1)].reshape(b, 3, c)


class ByRow(nn.Module):
    """Indexes by row number and by a place that the data says."""

    def forward(self, x):
        rows = torch.arange(x.shape[0])
        return x[rows, x[..., 0].argmax(1)] + x[rows[:, None], x[..., 1].topk(2, 1).indices].sum(1)


class Assigned(nn.Module):
    """Assigns to slices, to places and to places of zeros."""

    def forward(self, x):
        y = x.clone()
        y[:, 1:3] = 0
        y[:, 0, ::2] = x[:, 4, ::2] * 2
        y[:, [1, 3]] += 1.0
        z = torch.zeros(x.shape[0], 5, 4)
        z[:, 2] = x[:, 1]
        return y + z


class Queries(nn.Module):
    """Multiplies learnt queries with each row, and adds them."""

    def __init__(self):
        super().__init__()
        self.queries, self.mix = nn.Parameter(torch.randn(1, 3, 4)), nn.Linear(4, 4)

    def forward(self, x):
        q = self.mix(self.queries.repeat(x.shape[0], 1, 1))
        scores = torch.einsum("bqc,bnc->bqn", q, x) + torch.bmm(q, x.transpose(1, 2))
        return scores.softmax(-1) @ x + q


class Squeezed(nn.Module):
    def forward(self, x):
        return torch.sigmoid(x.mean((1, 2), keepdim=True)[..., :1].squeeze())


class Head(nn.Module):
    """The decoding head of a detector, with a grid of more numbers than are kept in mind."""

    def __init__(self, cells=40):
        super().__init__()
        self.cells = cells

    def forward(self, x):
        x = x.repeat(1, self.cells * self.cells // 5, 1)
        axis = torch.arange(self.cells)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), 2).view(1, -1, 2)
        x[..., :2] = (x[..., :2] + grid) * 8.0
        x[..., 2:] = torch.exp(x[..., 2:])
        return x


MODULES = {each.__name__: each for each in (Picks, ByRow, Assigned, Queries, Squeezed, Head)}


@pytest.mark.parametrize(("batch", "opset"), [(1, 12), (2, 16), (3, 13)])
@pytest.mark.parametrize("name", MODULES)
def test_what_was_written_for_one_batch_is_right_at_any(name, batch, opset, tmp_path):
    torch.manual_seed(0)
    module = MODULES[name]().eval()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.randn(batch, 5, 4),), tmp_path / "m.onnx",
            dynamo=False, opset_version=opset, input_names=["x"],
        )  # fmt: skip
    result = onnxgraph.make_batch_dynamic(onnxgraph.load(tmp_path / "m.onnx"))
    for rows in (2, 5):
        x = torch.randn(rows, 5, 4)
        with torch.no_grad():
            wanted = module(x.clone()).numpy()
        (seen,) = onnxgraph.run_onnx(result.model, {"x": x.numpy()}).values()
        np.testing.assert_allclose(seen, wanted, atol=1e-5)


@pytest.mark.parametrize("batch", [2, 3, 4, 6])
def test_what_mixes_rows_is_named_whatever_the_batch(graph, batch):
    sums = graph(
        f"g (float[{batch}, 4] x) => (float[{batch}, 4] y) <int64 z = {{0}}> {{ y = CumSum(x, z) }}"
    )
    with pytest.raises(GraphError, match="CumSum 'y' stands in the way"):
        onnxgraph.make_batch_dynamic(sums)
    first = graph(
        f"""g (float[{batch}, 4] x) => (float[{batch}, 4] y) <int64[1] z = {{0}}> {{
            f = Gather<axis = 0>(x, z)
            y = Add(x, f)
        }}"""
    )
    with pytest.raises(GraphError, match="Gather 'f' stands in the way"):
        onnxgraph.make_batch_dynamic(first)
    weights = ", ".join(f"{number}.5" for number in range(batch * 4))
    held = graph(
        f"""g (float[{batch}, 4] x) => (float[{batch}, 4] y)
        <float[{batch}, 4] w = {{{weights}}}> {{ h = Relu(x) y = Add(h, w) }}"""
    )
    with pytest.raises(GraphError, match="Add 'y' stands in the way"):
        onnxgraph.make_batch_dynamic(held)


def test_a_bias_that_was_repeated_for_the_batch(graph, values):
    model = graph(
        """g (float[2, 3] x) => (float[2, 2] y)
        <float[3, 2] w = {1., 2., 3., 4., 5., 6.}, float[2, 2] b = {1., 2., 1., 2.}> {
            y = Gemm(x, w, b)
        }"""
    )
    result = onnxgraph.make_batch_dynamic(model)
    x = values(5, 3)
    expected = x @ np.arange(1, 7, dtype=np.float32).reshape(3, 2) + np.float32([1, 2])
    np.testing.assert_allclose(
        onnxgraph.run_onnx(result.model, {"x": x})["y"], expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("opset", [11, 13])
def test_a_squeeze_with_nothing_but_the_batch_to_squeeze(graph, values, opset):
    model = graph(
        "g (float[1, 4, 4] x) => (float[4, 4] y) { h = Relu(x) y = Squeeze(h) }", opset=opset
    )
    result = onnxgraph.make_batch_dynamic(model)
    assert onnxgraph.outputs(result.model)[0].shape == ("batch", 4, 4)
    x = values(3, 4, 4)
    np.testing.assert_array_equal(onnxgraph.run_onnx(result.model, {"x": x})["y"], x.clip(0))
