"""Networks exported at a fixed batch by both exporters, opened, and compared with PyTorch."""

import contextlib
import importlib.util
import io
import warnings

import numpy as np
import pytest
import torch

from graphcore.parity import compare
from nbhelpers import onnxgraph
from nbhelpers.workbook.plan import ROOT

pytestmark = pytest.mark.slow

SOURCE = ROOT / "benchmarks" / "architectures" / "networks.py"


@pytest.fixture(scope="module")
def networks():
    spec = importlib.util.spec_from_file_location("networks", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Transformer(torch.nn.Module):
    """Patches, a class token, positions, one attention; then windows of tokens under a mask."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.patches = torch.nn.Conv2d(3, width, 4, 4)
        self.token = torch.nn.Parameter(torch.randn(1, 1, width))
        self.places = torch.nn.Parameter(torch.randn(1, 17, width))
        self.mix = torch.nn.Linear(width, 3 * width)
        self.heads = heads
        self.register_buffer("mask", torch.randn(4, 1, 4))

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        batch, _, width = x.shape
        x = torch.cat([self.token.expand(batch, -1, -1), x], 1) + self.places
        parts = self.mix(x).reshape(batch, 17, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(parts[0] @ parts[1].transpose(-2, -1), -1)
        x = (weights @ parts[2]).transpose(1, 2).reshape(batch, 17, width)
        windows = x[:, 1:].reshape(batch * 4, 4, width)
        scores = windows @ windows.transpose(1, 2)
        scores = scores.view(batch, 4, 4, 4) + self.mask
        mixed = torch.softmax(scores.view(batch * 4, 4, 4), -1) @ windows
        return x[:, 0], mixed.view(batch, 16, width).mean(1)


class Residual(torch.nn.Module):
    """A residual block, pooled, flattened by a view of fixed sizes, and squeezed to one number."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 4, 3, 2, 1)
        self.second = torch.nn.Conv2d(4, 4, 3, 1, 1)
        self.head = torch.nn.Linear(4, 1)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = torch.nn.functional.adaptive_avg_pool2d(x + self.second(x), 1)
        return self.head(x.view(x.shape[0], 4)).squeeze(1)


def images(size, channels=3):
    return lambda batch: torch.randn(batch, channels, size, size)


def words(batch):
    return torch.randint(0, 50, (batch, 11))


CASES = {
    "Residual": images(9),
    "Transformer": images(16),
    "Detector": images(32),
    "FeaturePyramidDetector": images(65),
    "UNet": images(20),
    "Tagger": words,
    "SpatialTransformer": images(33),
}


def exported(module, example, path, dynamo):
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    options = {"external_data": False, "verbose": False} if dynamo else {}
    opset = 20 if type(module).__name__ == "SpatialTransformer" else 18 if dynamo else 13
    with quiet[0], quiet[1], warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (example,), path, dynamo=dynamo, opset_version=opset, input_names=["x"],
            **options,
        )  # fmt: skip
    return onnxgraph.load(path)


@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
@pytest.mark.parametrize("name", CASES)
def test_a_network_of_a_fixed_batch_takes_any(name, dynamo, networks, tmp_path):
    torch.manual_seed(0)
    batch = 1 if name == "Residual" or dynamo else 2
    module = (globals().get(name) or getattr(networks, name))().eval()
    model = exported(module, CASES[name](batch), tmp_path / "fixed.onnx", dynamo)
    assert onnxgraph.inputs(model)[0].shape[0] == batch
    result = onnxgraph.make_batch_dynamic(model)
    assert [report.title for report in result.reports] == [f"batch {n}" for n in (1, 2, 3, 5)]
    for spec in (*onnxgraph.inputs(result.model), *onnxgraph.outputs(result.model)):
        assert spec.shape[0] == "batch"
        assert all(isinstance(dim, int) for dim in spec.shape[1:])
    for rows in (1, 2, 5):
        x = CASES[name](rows)
        with torch.no_grad():
            wanted = module(x)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        seen = onnxgraph.run_onnx(result.model, {"x": x.numpy()})
        expected = dict(zip(seen, map(np.asarray, wanted), strict=True))
        compare(expected, seen, tolerance=1e-4).check()
