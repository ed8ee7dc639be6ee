"""Sizes that are freed and stand in the arithmetic, too: named, or judged by another export."""

import contextlib
import io
import math
import warnings

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from graphcore.errors import GraphError, ParityError
from nbhelpers import onnxgraph

AXES = {"x": {2: "height", 3: "width"}}


def product(x):
    return x.shape[2] * x.shape[3]


def peak(x):
    place = x.flatten(2).argmax(-1)
    return torch.stack([place % x.shape[3], place // x.shape[3]], -1)


def gram(x):
    flat = x.flatten(2)
    return flat @ flat.transpose(1, 2) / (x.shape[1] * product(x))


HELD = {
    "a mean": (lambda x: x.sum((2, 3)) / product(x), "Div"),
    "a mean, by a factor": (lambda x: x.sum((2, 3)) * (1.0 / product(x)), "Mul"),
    "a mean over one axis": (lambda x: x.sum(2) / x.shape[2], "Div"),
    "a variance": (
        lambda x: ((x - x.mean((2, 3), keepdim=True)) ** 2).sum((2, 3)) / (product(x) - 1),
        "Div",
    ),
    "Bessel's correction": (
        lambda x: x.square().mean((2, 3)) * (product(x) / (product(x) - 1)),
        "Mul",
    ),
    "a Gram matrix": (gram, "Div"),
    "a Gram matrix of an Einsum": (
        lambda x: torch.einsum("bcn,bdn->bcd", x.flatten(2), x.flatten(2)) / product(x),
        "Div",
    ),
    "a root": (lambda x: x.flatten(2).norm(dim=2) / math.sqrt(product(x)), "Div"),
    "a logarithm": (lambda x: x.exp().sum((1, 2, 3)).log() - math.log(x[0].numel()), "Sub"),
    "places of a maximum": (peak, "Mod"),
    "places among the best": (
        lambda x: x.flatten(2).topk(3, -1).indices.float() / (x.shape[3] - 1),
        "Div",
    ),
    "places that are not 0": (lambda x: (x > 0).nonzero() * 2 - x.shape[3], "Sub"),
    "a part of a sum": (lambda x: x.cumsum(3) / x.shape[3], "Div"),
    "offsets in pixels": (lambda x: torch.tanh(x) * (x.shape[3] - 1), "Mul"),
    "places within the picture": (lambda x: x.clamp(0, x.shape[3] - 1), "Clip"),
    "which place it is": (
        lambda x: nn.functional.one_hot(x.flatten(2).argmax(-1), x.shape[2] * x.shape[3]),
        "OneHot",
    ),
    "a mean, spread over the picture": (
        lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, x.shape[2], x.shape[3]),
        "Expand",
    ),
    "an output of constants": (lambda x: (x * 2, torch.arange(x.shape[3]) + 1), "Constant"),
}


def exported(function, size, path):
    class Net(nn.Module):
        def forward(self, x):
            return function(x)

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Net(), (torch.randn(1, 3, *size),), path,
            dynamo=False, opset_version=13, input_names=["x"],
        )  # fmt: skip
    return onnxgraph.load(path)


@pytest.mark.parametrize("size", [(16, 16), (6, 10)], ids=str)
@pytest.mark.parametrize("name", HELD)
def test_arithmetic_with_a_size_is_named(name, size, tmp_path):
    function, op = HELD[name]
    model = exported(function, size, tmp_path / "m.onnx")
    with pytest.raises(
        GraphError, match=rf"cannot be made symbolic.* {op} '.* (constant|depth|gives)"
    ):
        onnxgraph.free_dims(model, AXES)


def test_the_words_say_what_the_constant_may_be(tmp_path):
    model = exported(lambda x: x.sum((2, 3)) / product(x), (16, 24), tmp_path / "m.onnx")
    with pytest.raises(GraphError) as refusal:
        onnxgraph.free_dims(model, AXES)
    assert "Div '/Div' has the constant 384, which may be 16 × 24" in str(refusal.value)
    model = exported(peak, (16, 24), tmp_path / "m.onnx")
    with pytest.raises(GraphError) as refusal:
        onnxgraph.free_dims(model, AXES)
    assert "Mod '/Mod' has the constant 24, a size" in str(refusal.value)


def test_constants_of_half_floats_are_rounded_sizes():
    model = onnx.parser.parse_model(
        """<ir_version: 7, opset_import: ["": 13]>
        g (float16[1, 3, 16, 24] x) => (float16[1, 3] y) {
            s = ReduceSumSquare<axes = [2, 3], keepdims = 0>(x)
            y = Mul(s, c)
        }"""
    )
    share = np.array(1 / 383, np.float16)
    model.graph.initializer.append(onnx.numpy_helper.from_array(share, "c"))
    with pytest.raises(GraphError, match=r"Mul 'y' has the constant .* one over \(16 × 24\) − 1"):
        onnxgraph.free_dims(model, AXES)


PLAIN = {
    "an activation": lambda x: x * torch.clamp(x + 3, 0, 6) / 6 + nn.functional.gelu(x) * 0.5,
    "pixels": lambda x: (x / 255 - 0.5) * 2,
    "attention over rows of the picture": lambda x: (
        x.permute(0, 2, 3, 1).repeat(1, 1, 1, 22)[..., :64] * 0.125
    ).mean(-1),
    "a mean, a maximum, a head": lambda x: (
        (x.mean((2, 3)) + x.amax((2, 3))) * 6 + nn.functional.hardtanh(x.mean((2, 3)) + 3, 0, 6)
    ),
    "layers norm": lambda x: nn.functional.layer_norm(x.permute(0, 2, 3, 1), (3,)),
    "pools": lambda x: nn.functional.avg_pool2d(nn.functional.pad(x, (1, 1, 1, 1)), 2),
}


@pytest.mark.parametrize("name", PLAIN)
def test_ordinary_constants_are_no_sizes(name, tmp_path):
    size = (256, 8) if name == "pixels" else (8, 16)
    model = exported(PLAIN[name], size, tmp_path / "m.onnx")
    result = onnxgraph.free_dims(model, AXES).model
    for other in ((12, 20), (16, 8)):
        x = torch.randn(1, 3, *other)
        (seen,) = onnxgraph.run_onnx(result, {"x": x.numpy()}).values()
        np.testing.assert_allclose(seen, PLAIN[name](x).numpy(), rtol=1e-4, atol=1e-5)


def test_an_export_at_another_size_decides(tmp_path):
    def scaled(x):
        return torch.relu(x) * 16

    model = exported(scaled, (16, 24), tmp_path / "m.onnx")
    with pytest.raises(GraphError, match="has the constant 16, a size"):
        onnxgraph.free_dims(model, AXES)
    other = exported(scaled, (12, 20), tmp_path / "other.onnx")
    result = onnxgraph.free_dims(model, AXES, references=[other]).model
    x = torch.randn(1, 3, 9, 7)
    (seen,) = onnxgraph.run_onnx(result, {"x": x.numpy()}).values()
    np.testing.assert_array_equal(seen, scaled(x).numpy())
    model = exported(gram, (16, 24), tmp_path / "m.onnx")
    other = exported(gram, (12, 20), tmp_path / "other.onnx")
    with pytest.raises(ParityError, match=r"Perhaps a constant is a size: .*Div .* 3 × 384"):
        onnxgraph.free_dims(model, AXES, references=[other])


def test_an_export_at_the_same_size_decides_nothing(tmp_path):
    model = exported(gram, (16, 24), tmp_path / "m.onnx")
    for size, axis in (((16, 24), 2), ((12, 24), 3)):
        other = exported(gram, size, tmp_path / "other.onnx")
        with pytest.raises(GraphError, match=f"Axis {axis} of the input 'x' .* proves nothing"):
            onnxgraph.free_dims(model, AXES, references=[other])


PLACES = {
    "places written": (
        """g (float[1, 2, 8, 8] x) => (float[1, 2, 8, 8] y)
        <int64[1, 3] i = {0, 1, 7}, float[1, 8] u = {1., 1., 1., 1., 1., 1., 1., 1.}> {
            y = ScatterND(x, i, u)
        }""",
        "ScatterND 'y' picks fixed places of axis 2",
    ),
    "places read": (
        """g (float[1, 2, 8, 8] x) => (float[1, 2, 8, 1] y)
        <int64[1, 2, 8, 1] i = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}> {
            y = GatherElements<axis = 3>(x, i)
        }""",
        "GatherElements 'y' picks fixed places of axis 3",
    ),
    "padded to a multiple": (
        """g (float[1, 2, 24, 20] x) => (float[1, 2, 32, 32] y)
        <int64[8] p = {0, 0, 0, 0, 0, 0, 8, 12}> { y = Pad(x, p) }""",
        "Pad 'y' pads 24 to 32 on axis 2, a multiple of 16",
    ),
    "sorted whole": (
        """g (float[1, 2, 8, 8] x) => (float[1, 2, 8, 8] y, int64[1, 2, 8, 8] i)
        <int64[1] k = {8}> { y, i = TopK(x, k) }""",
        "TopK 'y' takes the best 8, all that there are",
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_fixed_places_are_named(graph, name):
    text, words = PLACES[name]
    with pytest.raises(GraphError) as refusal:
        onnxgraph.free_dims(graph(text), AXES)
    assert words in str(refusal.value)


def test_a_grid_of_constants_is_named(graph):
    grid = ", ".join(["0.5"] * 8 * 8 * 2)
    model = graph(
        f"""g (float[1, 2, 8, 8] x) => (float[1, 2, 8, 8] y)
        <float[1, 8, 8, 2] grid = {{{grid}}}> {{ y = GridSample(x, grid) }}""",
        opset=16,
    )
    with pytest.raises(GraphError, match="GridSample 'y' samples at 8 × 8 fixed places"):
        onnxgraph.free_dims(model, AXES)
