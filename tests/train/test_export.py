import hashlib
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from graphcore import parity
from graphcore.errors import ModelError
from graphcore.spec import TensorSpec, parse_specs
from nbhelpers import onnxgraph, train

SPEC = TensorSpec("images", "float32", ("batch", 3, 7, 5))


def agrees(module, path, feeds, names):
    expected = train.run_torch(module, feeds, names)
    return parity.compare(expected, onnxgraph.run_onnx(path, feeds)).check()


@pytest.mark.parametrize("opset", [9, 11, 13, 15, 17])
def test_onnxruntime_agrees_at_several_batches_and_the_opset_is_read_back(small, tmp_path, opset):
    path = tmp_path / "small.onnx"
    made = train.export_onnx(small, [SPEC], path, output_names=["label", "map"], opset=opset)
    assert (made.opset_asked, made.opset) == (opset, opset)
    assert onnxgraph.opset(onnxgraph.load(path)) == opset
    assert [str(spec) for spec in made.inputs] == ["images:float32:batch,3,7,5"]
    assert [spec.name for spec in made.outputs] == ["label", "map"]
    assert all(spec.shape[0] == "batch" for spec in made.outputs)
    for batch in (1, 2, 5):
        agrees(small, path, {"images": SPEC.random(batch)}, ["label", "map"])


def test_a_module_in_training_is_exported_in_eval_mode_and_put_back(small, tmp_path):
    small.train()
    small.bn.eval()
    train.export_onnx(small, [SPEC], tmp_path / "small.onnx", output_names=["label", "map"])
    assert (small.training, small.bn.training, small.drop.training) == (True, False, True)
    assert "Dropout" not in onnxgraph.op_histogram(onnxgraph.load(tmp_path / "small.onnx"))
    agrees(small, tmp_path / "small.onnx", {"images": SPEC.random(3)}, ["label", "map"])


def test_inputs_may_be_arrays_or_tensors(small, tmp_path):
    for number, example in enumerate((SPEC.random(2), torch.from_numpy(SPEC.random(1)))):
        made = train.export_onnx(small, [example], tmp_path / f"{number}.onnx", symbol="N")
        assert made.inputs == (TensorSpec("images", "float32", ("N", 3, 7, 5)),)
        assert [spec.name for spec in made.outputs] == ["output0", "output1"]
        assert [spec.shape for spec in made.outputs] == [("N", 5), ("N", 7, 5)]


@pytest.mark.parametrize(
    ("shape", "dynamic", "batch"), [((1, 3, 7, 5), True, 1), (("batch", 3, 7, 5), False, 1)]
)
def test_a_fixed_batch_stays_fixed(small, tmp_path, shape, dynamic, batch):
    spec = TensorSpec("images", "float32", shape)
    made = train.export_onnx(small, [spec], tmp_path / "small.onnx", dynamic_batch=dynamic)
    assert made.inputs[0].shape == (batch, 3, 7, 5)
    assert made.outputs[0].shape == (batch, 5)


def test_the_same_module_gives_the_same_bytes(small, tmp_path):
    digests = set()
    for name in ("a.onnx", "b.onnx"):
        train.export_onnx(small, [SPEC], tmp_path / name)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]


class Scenes(nn.Module):
    """The agents of all scenes stand in one row."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(4, 3)

    def forward(self, scenes, agents):
        return scenes + self.fc(agents).reshape(scenes.shape[0], -1, 3).mean(1), agents * 2


def test_each_first_axis_keeps_its_own_symbol(tmp_path):
    path = tmp_path / "scenes.onnx"
    specs = parse_specs("scenes:scene,3 agents:agent,4")
    made = train.export_onnx(Scenes(), specs, path, output_names=["moved", "twice"])
    assert made.inputs == specs
    assert [spec.shape[0] for spec in made.outputs] == ["scene", "agent"]
    for rows, agents in ((1, 5), (2, 6), (3, 3)):
        feeds = {"scenes": specs[0].random(rows), "agents": specs[1].random(agents)}
        agrees(Scenes(), path, feeds, ["moved", "twice"])
    made = train.export_onnx(Scenes(), specs, path, dynamic_batch=False)
    assert [spec.shape for spec in made.inputs] == [(1, 3), ("agent", 4)]


class Sum(nn.Module):
    def forward(self, a, b):
        return a * 2 + b


def test_two_symbols_may_be_of_one_size(tmp_path):
    specs = parse_specs("a:batch,3 b:rows,3")
    made = train.export_onnx(Sum(), specs, tmp_path / "sum.onnx")
    assert made.inputs == specs and made.outputs[0].shape == ("batch", 3)
    feeds = {spec.name: spec.random(5) for spec in specs}
    agrees(Sum(), made.path, feeds, ["output"])


class Stacked(nn.Module):
    def forward(self, x):
        return {
            "both": torch.stack([x + 1, x * 2]),
            "pair": torch.stack([x.mean(), x.max()]),
            "turned": x.T,
            "rows": x - 1,
        }


@pytest.mark.parametrize(
    "example",
    [TensorSpec("x", "float32", ("batch", 3)), *(np.eye(n, 3, dtype="f") for n in (1, 2))],
)
def test_axes_that_grow_with_the_batch_are_called_so_and_no_others(tmp_path, example):
    path = tmp_path / "stacked.onnx"
    made = train.export_onnx(Stacked(), [example], path)
    shapes = [(2, "batch", 3), (2,), (3, "batch"), ("batch", 3)]
    assert [spec.shape for spec in made.outputs] == shapes
    for batch in (1, 2, 5):
        feeds = {"x": np.random.default_rng(batch).random((batch, 3), np.float32)}
        agrees(Stacked(), path, feeds, ["both", "pair", "turned", "rows"])


class Pairs(nn.Module):
    def forward(self, x):
        assert len(x) == 2, "Two rows, please."
        return x * 2, x.T


def test_a_module_that_takes_one_batch_only_has_it_in_the_first_axes(tmp_path):
    made = train.export_onnx(Pairs(), parse_specs("x:batch,2"), tmp_path / "pairs.onnx")
    assert [spec.shape[0] for spec in made.outputs] == ["batch", "batch"]


class Branch(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x - 1


def test_a_frozen_branch_is_told(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is printed or warned past the result
        made = train.export_onnx(Branch(), [np.ones((1, 2), np.float32)], tmp_path / "b.onnx")
    (warning,) = made.warnings
    assert "Python boolean" in warning and "test_export.py" in warning
    assert "WARNING" in repr(made)


class Stringly(nn.Module):
    def forward(self, x):
        return x, "a text"


class Untraceable(nn.Module):
    def forward(self, x):
        return torch.linalg.eigvals(x)


class Hidden(nn.Module):
    def forward(self, x):
        assert not torch.jit.is_tracing(), "Not while I am watched."
        return x


class Narrow(nn.Module):
    def forward(self, x):
        return x @ torch.ones(9, 2)


def test_what_cannot_be_traced_is_one_sentence_and_leaves_the_old_file(tmp_path, capfd):
    path = tmp_path / "old.onnx"
    path.write_bytes(b"old")
    square = np.eye(3, dtype=np.float32)
    with pytest.raises(ModelError, match=r"Untraceable runs, but cannot be traced for opset 13"):
        train.export_onnx(Untraceable(), [square], path, dynamic_batch=False)
    with pytest.raises(ModelError, match=r"must return a tensor.*contains a str"):
        train.export_onnx(Stringly(), [square], path)
    with pytest.raises(
        ModelError, match=r"Narrow does not run on inputs of torch\.float32 \(3, 3\)"
    ):
        train.export_onnx(Narrow(), [square], path)
    with pytest.raises(ModelError, match=r"torch\.float32 \(3, 3\): Two rows, please\. Correct"):
        train.export_onnx(Pairs(), [square], path)
    with pytest.raises(ModelError, match=r"traced for opset 13: Not while I am watched\. Rewrite"):
        train.export_onnx(Hidden(), [square], path)
    with pytest.raises(
        ModelError, match=r"The input 'x' is a tensor of torch\.bfloat16 that numpy"
    ):
        train.export_onnx(Narrow(), [torch.ones(2, 9, dtype=torch.bfloat16)], path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr().out == ""


def test_the_folder_is_made(small, tmp_path):
    made = train.export_onnx(small, [SPEC], tmp_path / "new" / "folder" / "small.onnx")
    assert made.path.is_file()


def test_an_output_that_numpy_lacks_is_refused():
    words = r"The output 'y' of Linear is a tensor of torch\.bfloat16 that numpy cannot hold"
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(ModelError, match=words):
        train.run_torch(nn.Linear(2, 2), {"x": np.ones((1, 2), np.float32)}, ["y"])


def test_wrong_numbers_of_names_and_opsets_are_refused(small, tmp_path):
    with pytest.raises(ModelError, match="opset 7 to 20, but 21 was asked"):
        train.export_onnx(small, [SPEC], tmp_path / "x.onnx", opset=21)
    with pytest.raises(ModelError, match="returns 2 tensors, but 1 output names"):
        train.export_onnx(small, [SPEC], tmp_path / "x.onnx", output_names=["one"])
    with pytest.raises(ModelError, match="1 inputs need as many names, but 2"):
        train.export_onnx(small, [SPEC], tmp_path / "x.onnx", input_names=["a", "b"])
