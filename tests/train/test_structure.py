"""Inputs and outputs of any structure: bound by name, flattened with names, none lost."""

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from graphcore import parity
from graphcore.errors import ModelError
from graphcore.spec import parse_specs
from nbhelpers import onnxgraph, train


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 3)


class Keyword(Net):
    def forward(self, x, *, scale, shift=None):
        y = self.linear(x) * scale
        return y if shift is None else y + shift


class Features(Net):
    def forward(self, features):
        return self.linear(features["a"]) + features["more"]["b"]


class Listed(Net):
    def forward(self, xs: list[Tensor]):
        assert isinstance(xs, list)
        return self.linear(xs[0]) + self.linear(xs[1])


class Starred(Net):
    def forward(self, *xs, **named):
        return self.linear(xs[0]) + self.linear(xs[1]) * named["scale"]


class Skipping(Net):
    def forward(self, ids=None, mask=None, embeds=None):
        assert ids is None
        return self.linear(embeds) * mask


A, B = torch.randn(2, 4), torch.randn(2, 3)
SCALE = torch.tensor(2.0)


@pytest.mark.parametrize(
    ("module", "given", "names"),
    [
        (Keyword(), [A, SCALE], ["x", "scale"]),
        (Keyword(), {"shift": B, "scale": SCALE, "x": A}, ["shift", "scale", "x"]),
        (Features(), [{"a": A, "more": {"b": B}}], ["features.a", "features.more.b"]),
        (Listed(), [[A, A + 1]], ["xs.0", "xs.1"]),
        (Starred(), {"xs": [A, A + 1], "scale": SCALE}, ["xs.0", "xs.1", "scale"]),
        (Skipping(), {"embeds": A, "mask": B}, ["embeds", "mask"]),
    ],
    ids=["keyword", "by name", "dict", "list", "starred", "skipping"],
)
def test_inputs_are_bound_by_name(tmp_path, module, given, names):
    made = train.export_onnx(module, given, tmp_path / "m.onnx")
    assert [spec.name for spec in made.inputs] == names
    for batch in (1, 5):
        feeds = {spec.name: spec.random(batch, seed=batch) for spec in made.inputs}
        expected = train.run_torch(module, feeds, ["output"])
        parity.compare(expected, onnxgraph.run_onnx(made.path, feeds)).check()
    cases = train.record_golden(module, made.inputs, ["output"])
    for report in onnxgraph.check_cases(onnxgraph.load(made.path), cases):
        report.check()


@pytest.mark.parametrize(
    ("module", "given", "names"),
    [
        (Keyword(), [A, SCALE], ["pixels", "factor"]),
        (Features(), [{"a": A, "more": {"b": B}}], ["one", "two"]),
        (Keyword(), {"shift": B, "scale": SCALE, "x": A}, ["x", "factor", "shift"]),
    ],
    ids=["keyword", "dict", "permuted"],
)
def test_names_that_are_given_label_what_is_bound_already(tmp_path, module, given, names):
    made = train.export_onnx(module, given, tmp_path / "m.onnx", input_names=names)
    assert [spec.name for spec in made.inputs] == names
    values = given.values() if isinstance(given, dict) else [A, B if len(given) == 1 else SCALE]
    feeds = dict(zip(names, (each.numpy() for each in values), strict=True))
    args = given if isinstance(given, dict) else {}
    with torch.no_grad():
        expected = module(**args) if args else module(*given[:1], **_scale(given))
    seen = onnxgraph.run_onnx(made.path, feeds)["output"]
    np.testing.assert_allclose(seen, expected.numpy(), rtol=1e-5, atol=1e-6)


def _scale(given):
    return {"scale": given[1]} if len(given) > 1 else {}


def test_specs_name_the_entries_and_other_names_are_labels_in_order(tmp_path):
    specs = parse_specs("features.more.b:batch,3 features.a:batch,4")
    made = train.export_onnx(Features(), specs, tmp_path / "m.onnx")
    assert made.inputs == specs
    labels = parse_specs("pixels:batch,4 scale:float32:")
    made = train.export_onnx(Keyword(), labels, tmp_path / "m.onnx")
    assert made.inputs == labels


@pytest.mark.parametrize(
    ("module", "given", "sentence"),
    [
        (Features(), [A, B], r"takes 1 arguments \(features\), but 2 inputs .*features\.key"),
        (Features(), [{"a": "text"}], r"'features\.a' must be a tensor.* it is a str"),
        (Keyword(), {"x": A}, "missing 1 required keyword-only argument: 'scale'"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(tmp_path, module, given, sentence):
    with pytest.raises(ModelError, match=sentence):
        train.export_onnx(module, given, tmp_path / "m.onnx")


@dataclasses.dataclass
class Result:
    logits: Tensor
    states: tuple
    loss: Tensor | None = None


class Pair(NamedTuple):
    key: Tensor
    value: Tensor


class Nested(Net):
    def forward(self, x):
        y = self.linear(x)
        return Result(y, (Pair(y + 1, y * 2), None, {"mean": y.mean(1), "all": y.sum()}))


class Tupled(Net):
    def forward(self, x):
        return None, self.linear(x), [x * 2, None]


def test_outputs_are_flattened_with_names_and_none_is_left_out(tmp_path):
    made = train.export_onnx(Nested(), [A], tmp_path / "m.onnx")
    names = ["logits", "states.0.key", "states.0.value", "states.2.mean", "states.2.all"]
    assert [spec.name for spec in made.outputs] == names
    assert [spec.shape for spec in made.outputs] == [*[("batch", 3)] * 3, ("batch",), ()]
    feeds = {"x": A.numpy()}
    parity.compare(
        train.run_torch(Nested(), feeds, names), onnxgraph.run_onnx(made.path, feeds)
    ).check()
    made = train.export_onnx(Tupled(), [A], tmp_path / "m.onnx")
    assert [spec.name for spec in made.outputs] == ["output1", "output2.0"]


def test_an_input_that_nothing_reads_stays_in_the_file(tmp_path):
    class Unread(Net):
        def forward(self, first, x, last):
            return self.linear(x)

    specs = parse_specs("first:int64:batch,time x:batch,4 last:bool:7")
    made = train.export_onnx(Unread(), specs, tmp_path / "m.onnx")
    assert made.inputs == specs
    feeds = {spec.name: spec.random(3) for spec in specs}
    expected = train.run_torch(Unread(), feeds, ["output"])
    parity.compare(expected, onnxgraph.run_onnx(made.path, feeds)).check()


def test_names_that_clash_are_refused(tmp_path):
    class Same(nn.Module):
        def forward(self, x):
            return {"x": x * 2, "y": x}

    with pytest.raises(ModelError, match=r"'x' names both an input and an output.*OUTPUTS"):
        train.export_onnx(Same(), [A], tmp_path / "m.onnx")
    made = train.export_onnx(Same(), [A], tmp_path / "m.onnx", output_names=["z", "y"])
    assert [spec.name for spec in made.outputs] == ["z", "y"]
    with pytest.raises(ModelError, match="Two outputs are named 'y'"):
        train.export_onnx(Same(), [A], tmp_path / "m.onnx", output_names=["y", "y"])
    with pytest.raises(ModelError, match="Two inputs are named 'a'"):
        train.export_onnx(Keyword(), [A, SCALE], tmp_path / "m.onnx", input_names=["a", "a"])


def test_names_of_weights_may_be_those_of_inputs_and_outputs(tmp_path):
    class Owner(Net):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

        def forward(self, x):
            return {"linear.weight": self.linear(x * self.weight)}

    feeds = {"weight": np.ones((3, 4), np.float32)}
    made = train.export_onnx(Owner(), parse_specs("weight:batch,4"), tmp_path / "m.onnx")
    expected = train.run_torch(Owner(), feeds, ["linear.weight"])
    parity.compare(expected, onnxgraph.run_onnx(made.path, feeds)).check()


class Scripted(Net):
    def forward(self, x, times: int = 3):
        for _ in range(x.shape[0]):
            x = x + 1
        return self.linear(x) if x.sum() > 0 else self.linear(-x)


@pytest.mark.parametrize(
    "module",
    [
        torch.jit.trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval(), A),
        torch.jit.script(Scripted().eval()),
        nn.Sequential(nn.Linear(4, 4), torch.jit.script(Scripted())).eval(),
        torch.jit.freeze(torch.jit.trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval(), A)),
    ],
    ids=["traced", "scripted", "scripted part", "frozen"],
)
def test_traced_and_scripted_modules(tmp_path, module):
    made = train.export_onnx(module, [A], tmp_path / "m.onnx")
    name = made.inputs[0].name
    for batch in (1, 6):
        for sign in (1, -50):
            feeds = {name: sign * np.random.default_rng(batch).random((batch, 4), np.float32)}
            expected = train.run_torch(module, feeds, ["output"])
            parity.compare(expected, onnxgraph.run_onnx(made.path, feeds)).check()
    recorded = train.record_activations(module, made.path, feeds)
    parity.compare(expected, recorded.tensors(["output"], {})).check()
    assert not any("signature" in each for each in made.warnings)


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        nn.utils.parametrizations.spectral_norm,
        nn.utils.parametrizations.weight_norm,
    ],
    ids=["parallel", "spectral norm", "weight norm"],
)
def test_what_torch_wraps_around_a_module(tmp_path, wrap):
    torch.manual_seed(0)
    plain = nn.Linear(4, 3)
    with torch.no_grad():
        wrapped = wrap(plain).eval()
        expected = wrapped(A)
    made = train.export_onnx(wrapped, [A], tmp_path / "m.onnx")
    seen = onnxgraph.run_onnx(made.path, {made.inputs[0].name: A.numpy()})["output"]
    np.testing.assert_allclose(seen, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("opset", [9, 11, 13, 17])
def test_squeeze_of_an_axis_whose_size_is_a_symbol_has_one_rank(tmp_path, opset):
    class Squeezed(nn.Module):
        def forward(self, x):
            y = x.mean(3, keepdim=True)
            return y.squeeze(2), y.squeeze(-1), y.squeeze((1, 3))

    made = train.export_onnx(
        Squeezed(), parse_specs("x:batch,3,height,width"), tmp_path / "m.onnx", opset=opset
    )
    assert "If" not in onnxgraph.op_histogram(onnxgraph.load(made.path))
    assert [spec.shape for spec in made.outputs] == [
        ("batch", 3, "height", 1),
        *[("batch", 3, "height")] * 2,
    ]
    assert any("squeeze of axis 2, whose size is a symbol" in each for each in made.warnings)


def test_squeeze_of_the_batch_is_refused_where_torch_drops_it(tmp_path):
    class Dropped(nn.Module):
        def forward(self, x):
            return x.squeeze(0) * 2

    with pytest.raises(ModelError, match=r"'batch'.*at batch = 1, .*shape: expected \(4,\)"):
        train.export_onnx(Dropped(), parse_specs("x:batch,4"), tmp_path / "m.onnx")
