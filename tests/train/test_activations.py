"""What PyTorch computed, under ONNX's names: both exporters, folded parts, parts called twice."""

import copy

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from graphcore.atomic_files import describe
from graphcore.errors import ModelError
from nbhelpers.train import export_onnx, record_activations
from onnxgraph.comparing.activations import load_activations
from onnxgraph.comparing.bisection import first_difference
from onnxgraph.comparing.layers import compare_layers
from onnxgraph.comparing.sources import OnnxSource


class Net(nn.Module):
    """A folded batch norm, one that changes its input in place, a part used twice, two outputs."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.seq = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.drop, self.fc, self.ln = nn.Dropout(), nn.Linear(4, 5), nn.LayerNorm(5)

    def forward(self, images):
        x = self.relu(self.bn(self.conv(images)))
        x = self.relu(self.drop((x + self.seq(x)).mean((2, 3))))
        return self.ln(self.fc(x)), x


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    model = Net()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
    return model.eval()


@pytest.fixture(scope="module", params=["tracing", "dynamo"])
def exported(request, net, tmp_path_factory):
    """The ONNX file of either exporter."""
    path = tmp_path_factory.mktemp(request.param) / "net.onnx"
    images = torch.randn(2, 3, 8, 8)
    if request.param == "tracing":
        export_onnx(net, [images], path, output_names=["scores", "features"])
    else:
        torch.onnx.export(net, (images,), path, input_names=["images"], dynamo=True, verbose=False)
    return path


def feeds(batch=2, seed=0):
    drawn = np.random.default_rng(seed).standard_normal((batch, 3, 8, 8))
    return {"images": drawn.astype(np.float32)}


def test_every_module_is_told_and_agrees(net, exported, tmp_path):
    path = tmp_path / "debug" / "activations.npz"
    recorded = record_activations(net, exported, feeds(), path=path)
    report = compare_layers(recorded, OnnxSource(exported), recorded.feeds)
    assert report.ok, report
    assert all(layer.status == "ok" for layer in report.layers), report
    assert len(report.layers) == 8, "the input, two convolutions, four activations, two of the head"
    read = load_activations(path, made_for=describe(exported)["sha256"])
    assert read.title.startswith("PyTorch 2") and read.names == recorded.names


def test_an_epsilon_is_found_between_pytorch_and_onnxruntime(net, exported):
    changed = copy.deepcopy(net)
    changed.ln.eps = 1e-2
    recorded = record_activations(changed, exported, feeds())
    for sides in ((recorded, OnnxSource(exported)), (OnnxSource(exported), recorded)):
        found = first_difference(*sides, feeds())
        assert found.confirmed and found.layer.row.relative > 1e-3
        assert [layer.op for layer in found.inputs] == ["Gemm"]
        assert all("ln" in node or "layer_norm" in node for node in found.nodes), found.nodes


def test_the_module_is_left_as_it_was_and_another_one_is_refused(net, exported):
    net.train()
    record_activations(net, exported, feeds())
    assert net.training and not any(part._forward_hooks for part in net.modules())
    net.eval()
    with pytest.raises(ModelError, match="does not run on inputs of"):
        record_activations(net, exported, {"images": np.zeros((1, 5), np.float32)})


def test_a_file_without_scopes_gives_the_outputs_only(net, exported, tmp_path):
    model = onnx.load(exported)
    for node in model.graph.node:
        node.name = ""
        del node.metadata_props[:]
    onnx.save(model, tmp_path / "plain.onnx")
    recorded = record_activations(net, tmp_path / "plain.onnx", feeds())
    outputs = [value.name for value in model.graph.output]
    assert set(recorded.names) == {"images", *outputs}


def test_what_numpy_has_no_dtype_for_is_left_out(tmp_path):
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.plain, self.small = nn.Linear(3, 4), nn.Linear(4, 2, dtype=torch.bfloat16)

        def forward(self, x):
            return self.small(self.plain(x).bfloat16()).float()

    module, x = Mixed().eval(), np.ones((2, 3), np.float32)
    path = tmp_path / "mixed.onnx"
    torch.onnx.export(module, (torch.from_numpy(x),), path, dynamo=True, verbose=False)
    model = onnx.load(path)
    recorded = record_activations(module, path, {model.graph.input[0].name: x})
    assert model.graph.output[0].name in recorded.names
    values = recorded.tensors(recorded.names, {}).values()
    assert (4,) in {value.shape[1:] for value in values}
