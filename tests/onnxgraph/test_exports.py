"""The CT sample of a fixed batch, opened; files of the dynamo exporter, lowered and converted."""

import contextlib
import io
import os
import subprocess
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from graphcore.parity import compare
from graphcore.spec import TensorSpec
from nbhelpers import onnxgraph
from nbhelpers.train import export_onnx, samples
from nbhelpers.workbook.plan import interpreter
from tests.checkout import PYTHONPATH

pytestmark = pytest.mark.slow

VOLUME = (33, 40, 47)
"""Far below the 128×128×128 of the sample, which takes minutes at five batch sizes; odd sizes."""


def test_the_ct_sample_of_a_fixed_batch_takes_any(tmp_path):
    module = samples.ct_resnet34()
    spec = TensorSpec("images", "float32", (1, 1, *VOLUME))
    export_onnx(module, [spec], tmp_path / "ct.onnx", output_names=module.output_names)
    model = onnxgraph.load(tmp_path / "ct.onnx")
    assert onnxgraph.inputs(model) == (spec,)
    result = onnxgraph.make_batch_dynamic(model)
    assert [report.title for report in result.reports] == [f"batch {n}" for n in (1, 2, 3, 5)]
    assert onnxgraph.outputs(result.model)[0].shape == ("batch", 6)
    for batch in (1, 2, 5):
        x = torch.randn(batch, 1, *VOLUME, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            wanted = {"result": module(x).numpy()}
        compare(wanted, onnxgraph.run_onnx(result.model, {"images": x.numpy()})).check()


class Encoder(nn.Module):
    """PyTorch's own encoder layers on tokens and positions; the head reads the mean token."""

    example = torch.randint(0, 40, (2, 9), generator=torch.Generator().manual_seed(0))

    def __init__(self, width=16):
        super().__init__()
        self.embed = nn.Embedding(40, width)
        self.places = nn.Parameter(torch.randn(1, 32, width))
        layer = nn.TransformerEncoderLayer(
            width, 4, 3 * width, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        x = self.embed(x) + self.places[:, : x.shape[1]]
        return self.head(self.layers(x).mean(1))


class Convolutions(nn.Module):
    """Strided and grouped convolutions, squeeze and excitation, upsampling, a residual, a mean."""

    example = torch.randn(2, 3, 33, 37, generator=torch.Generator().manual_seed(0))

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.SiLU())
        self.wide = nn.Conv2d(8, 8, 5, padding=2, groups=8)
        self.norm = nn.GroupNorm(2, 8)
        self.squeeze = nn.Sequential(nn.Conv2d(8, 4, 1), nn.GELU(), nn.Conv2d(4, 8, 1))
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = self.stem(x)
        y = nn.functional.hardswish(self.norm(self.wide(x)))
        y = y * torch.sigmoid(self.squeeze(y.mean((2, 3), keepdim=True)))
        y = nn.functional.interpolate(self.pool(y), size=x.shape[2:], mode="bilinear")
        return self.head((x + y).mean((2, 3))), y


CONVERT = """
import json, sys
import numpy as np
from nbhelpers import convert
path, target, feeds = sys.argv[1:]
made = convert.onnx2tf(path, None, target=target)
for name in json.loads(feeds):
    arrays = dict(np.load(name))
    np.savez(name + ".seen.npz", **convert.run_conversion(made, arrays))
print(made.target)
"""


@pytest.mark.parametrize(("network", "opset"), [(Encoder, 23), (Convolutions, 18)])
def test_a_file_of_the_dynamo_exporter_is_lowered_and_converted(network, opset, tmp_path):
    torch.manual_seed(0)
    module, example = network().eval(), network.example
    path = exported(module, example, opset, tmp_path / "new.onnx")
    model = onnxgraph.load(path)
    assert onnxgraph.opset(model) == opset
    lower = onnxgraph.lower_opset(model, 13)
    assert onnxgraph.opset(lower.model) == 13 and lower.model.ir_version <= 8
    assert len(lower.reports) == 2 and all(report.ok for report in lower.reports)
    onnxgraph.save(lower.model, tmp_path / "lower.onnx")
    runs = {}
    for batch in (1, 3, 5):
        x = torch.roll(example, batch, 0).repeat(3, *[1] * (example.ndim - 1))[:batch]
        x = x if network is Encoder else x * batch
        with torch.no_grad():
            wanted = module(x)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        names = [spec.name for spec in onnxgraph.outputs(model)]
        expected = dict(zip(names, map(np.asarray, wanted), strict=True))
        compare(expected, onnxgraph.run_onnx(lower.model, {"x": x.numpy()})).check()
        np.savez(tmp_path / f"feeds{batch}.npz", x=x.numpy())
        runs[str(tmp_path / f"feeds{batch}.npz")] = expected
    for name, seen in converted(tmp_path / "lower.onnx", "tf1.4", list(runs)):
        compare(runs[name], seen).check()


def exported(module, example, opset, path):
    """Export by the newer exporter, with a dynamic batch."""
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with quiet[0], quiet[1], warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (example,), path, dynamo=True, opset_version=opset, input_names=["x"],
            dynamic_shapes=({0: torch.export.Dim("batch")},), external_data=False, verbose=False,
        )  # fmt: skip
    return path


def converted(path, target, feeds):
    """Convert in the other kernel, which has TensorFlow; yield what it computes for each file."""
    import json

    done = subprocess.run(
        [interpreter("convert"), "-c", CONVERT, path, target, json.dumps(feeds)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        check=False,
    )
    assert done.returncode == 0 and done.stdout.split()[-1] == target, done.stderr[-3000:]
    for name in feeds:
        with np.load(f"{name}.seen.npz") as arrays:
            yield name, dict(arrays)
