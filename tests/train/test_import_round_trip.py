"""torch → ONNX → a frozen graph for each target → ONNX → torch: the same numbers and names."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from graphcore.parity import compare
from graphcore.spec import TensorSpec
from graphcore.targets import NAMES
from nbhelpers.train import export_onnx, import_onnx
from torchgraph.modules.forward import run_torch

ROOT = Path(__file__).parents[2]
OUTPUTS = ["scores", "maps"]

THERE_AND_BACK = """
import sys
from nbhelpers import convert

for target in sys.argv[2:]:
    frozen = f"{sys.argv[1]}/{target}.pb"
    there = convert.onnx2tf(f"{sys.argv[1]}/exported.onnx", frozen, target=target)
    ends = {each.name for each in convert.open_graph(frozen).outputs()}
    assert ends == set(there.outputs.values()), ends  # and nothing else
    convert.tf2onnx(frozen, f"{sys.argv[1]}/{target}.onnx", outputs=there.outputs)
"""


class Network(nn.Module):
    """Strides, a padding that is not SAME, groups, a residual, an enlarging and a dense head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=4), nn.BatchNorm2d(8))
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, images):
        x = torch.relu(self.stem(images))
        x = x + torch.sigmoid(self.body(x))
        maps = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear")
        return self.head(self.pool(x).mean((2, 3))), maps


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    """Return the module, and the folder with what came back for each target."""
    python = Path(os.environ.get("NBHELPERS_ENVS", ROOT / ".envs")) / "tf" / "bin" / "python"
    if not python.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"There is no {python}: run `make setup`.")
        pytest.skip(f"There is no {python}: run `make setup`.")
    folder = tmp_path_factory.mktemp("journey")
    torch.manual_seed(0)
    module = Network()
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(8, 3, 22, 18))  # statistics for the norm
    module.eval()
    spec = TensorSpec("images", "float32", ("batch", 3, 22, 18))
    export_onnx(module, [spec], folder / "exported.onnx", output_names=OUTPUTS)
    command = [str(python), "-c", THERE_AND_BACK, str(folder), *NAMES]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **quiet}, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return module, folder


@pytest.mark.parametrize("target", NAMES)
def test_it_comes_back_as_it_went(journey, target):
    module, folder = journey
    imported = import_onnx(folder / f"{target}.onnx")
    assert [str(spec) for spec in imported.inputs] == ["images:float32:batch,3,22,18"]
    assert imported.output_names == OUTPUTS
    assert imported.squared_error < 1e-10
    for batch in (1, 2, 5):
        images = np.random.default_rng(batch).standard_normal((batch, 3, 22, 18), np.float32)
        expected = run_torch(module, {"images": images}, OUTPUTS)
        compare(expected, imported.run({"images": images}), tolerance=1e-5).check()
    # Weights come back too, and learn.
    held = [value.numel() for value in imported.module.parameters()]
    assert sum(held) >= 8 * 3 * 9 + 8 * 2 * 9 + 8 * 5
    scores, maps = imported.module.train()(torch.from_numpy(images))
    (scores.square().mean() + maps.square().mean()).backward()
    assert all(value.grad is not None for value in imported.module.parameters())
