"""torch → ONNX → TensorFlow, for each target → ONNX → torch: the same numbers, the same names."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from graphcore.parity import compare
from graphcore.spec import TensorSpec
from graphcore.targets import NAMES
from nbhelpers import onnxgraph, train
from nbhelpers.workbook.plan import ROOT, interpreter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HERE = Path(__file__).resolve().parent
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


class Pictures(nn.Module):
    """Padded pools, groups, a residual sum and two heads."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6())
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.body = nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.mean = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
        self.up = nn.ConvTranspose2d(8, 2, 3, 2, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.pool(self.stem(x))
        x = self.mean(torch.sigmoid(self.body(x)) + x)
        return self.head(x.mean((2, 3))), self.up(x)


class Volumes(nn.Module):
    """Three-dimensional convolutions, as for CT."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv3d(1, 4, 3, 2, 1), nn.BatchNorm3d(4), nn.ReLU(), nn.MaxPool3d(2)),
            *(nn.Flatten(), nn.Linear(128, 3)),
        )

    def forward(self, x):
        return self.layers(x)


class Words(nn.Module):
    """Attention and layer norms over what an embedding gives."""

    def __init__(self):
        super().__init__()
        self.embedding, self.norm = nn.Embedding(11, 8), nn.LayerNorm(8)
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, tokens):
        x = self.norm(self.embedding(tokens))
        weights = (self.query(x) @ self.key(x).transpose(1, 2) / 8**0.5).softmax(-1)
        return nn.functional.gelu(weights @ self.value(x)) + x


NETWORKS = {
    "pictures": (Pictures, "image/in:float32:batch,3,33,29", ["scores", "mask/out"]),
    "volumes": (Volumes, "ct:float32:batch,1,9,16,17", ["class"]),
    "words": (Words, "tokens:int64:batch,6", ["features"]),
}


@pytest.fixture(scope="module")
def trips(tmp_path_factory):
    """The folder of every file, and name → the module that it began with."""
    folder = tmp_path_factory.mktemp("trips")
    modules = {}
    for name, (make, spec, outputs) in NETWORKS.items():
        torch.manual_seed(0)
        modules[name] = make().eval()
        specs = [TensorSpec.parse(spec)]
        path = folder / f"{name}.onnx"
        train.export_onnx(modules[name], specs, path, output_names=outputs)
    for name in ("squeezenet", "inception_v1"):
        shutil.copy(LIGHT / f"light_{name}.onnx", folder)
    done = subprocess.run(
        [interpreter("convert"), HERE / "there_and_back.py", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, modules


def interface(path):
    model = onnxgraph.load(path)
    return [(s.name, s.dtype) for s in (*onnxgraph.inputs(model), *onnxgraph.outputs(model))]


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("name", NETWORKS)
def test_from_torch_to_torch_nothing_changes(trips, name, target):
    folder, modules = trips
    back = folder / f"{name}.{target}.back.onnx"
    assert interface(back) == interface(folder / f"{name}.onnx")
    spec, outputs = TensorSpec.parse(NETWORKS[name][1]), NETWORKS[name][2]
    home = train.import_onnx(back)
    for batch in (1, 4):
        feeds = {spec.name: spec.random(batch, seed=batch)}
        expected = train.run_torch(modules[name], feeds, outputs)
        compare(expected, onnxgraph.run_onnx(back, feeds), title="onnxruntime").check()
        compare(expected, home.run(feeds), title="PyTorch").check()


@pytest.mark.parametrize("name", ["light_squeezenet", "light_inception_v1"])
def test_published_networks_come_back(trips, name):
    folder, _ = trips
    first, back = folder / f"{name}.onnx", folder / f"{name}.tf1.4.back.onnx"
    assert interface(back) == interface(first)
    spec = onnxgraph.inputs(onnxgraph.load(first))[0]
    feeds = {spec.name: np.abs(spec.random(1, seed=3))}
    expected = onnxgraph.run_onnx(first, feeds)
    compare(expected, onnxgraph.run_onnx(back, feeds)).check()
