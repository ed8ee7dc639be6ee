"""What messages about exports and imports advise is done to the letter, and gets through."""

import re

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional

from graphcore.errors import ConversionError, ModelError
from nbhelpers import onnxgraph
from nbhelpers.onnxgraph import run_onnx
from nbhelpers.train import export_onnx, import_onnx


class Larger(nn.Module):
    def forward(self, x):
        return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def export(module, tmp_path, **options):
    return export_onnx(module, [torch.rand(2, 3, 5, 5)], tmp_path / "m.onnx", **options)


def test_the_opset_that_is_named_is_right(tmp_path):
    with pytest.raises(ModelError, match=r"does not compute what Larger does.* OPSET=\d+") as no:
        export(Larger(), tmp_path, opset=10)
    opset = int(re.search(r"OPSET=(\d+) has what it needs\.$", str(no.value)).group(1))
    export(Larger(), tmp_path, opset=opset)
    for batch in (1, 3):
        x = torch.rand(batch, 3, 5, 5)
        seen = run_onnx(tmp_path / "m.onnx", {"x": x.numpy()})["output"]
        np.testing.assert_allclose(seen, Larger()(x).numpy(), rtol=1e-5, atol=1e-6)


def test_no_opset_is_named_where_none_helps(tmp_path):
    class Inverse(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvalsh(x)

    class Powers(nn.Module):
        """The same by plain tensor operations, as the message says: for 1 × 1 matrices."""

        def forward(self, x):
            return x[..., 0]

    with pytest.raises(
        ModelError, match=r"plain tensor operations, because no other opset has what it"
    ):
        export_onnx(Inverse(), [torch.ones(2, 1, 1)], tmp_path / "m.onnx")
    export_onnx(Powers(), [torch.ones(2, 1, 1)], tmp_path / "m.onnx")
    x = np.array([[[3.0]], [[4]], [[5]]], np.float32)
    np.testing.assert_array_equal(run_onnx(tmp_path / "m.onnx", {"x": x})["output"], x[..., 0])


PARTS = {
    "control flow": """g (float[n, 4] x, bool c) => (float[n, 4] y) {
        a = Relu(x)
        b = Neg(a)
        y = If(c) <then_branch = t () => (float[n, 4] p) { p = Abs(a) },
                   else_branch = e () => (float[n, 4] q) { q = Exp(b) }> }""",
    "another operator set": """g (float[n, 4] x) => (float[n, 4] y) {
        a = Relu(x) b = com.microsoft.QuickGelu(a) y = Neg(b) }""",
    "compiled ops": """g (float[n, 1, 4, 4] x, float[k, 4] r, int64[k] i) => (float[k, 1, 1, 1] y) {
        a = Relu(x) y = RoiAlign(a, r, i) }""",
    "first in the graph": """g (float[n, 1, 4, 4] x, float[k, 4] r, int64[k] i, float[k, 1, 1, 1] z)
        => (float[k, 1, 1, 1] y) { a = RoiAlign(x, r, i) b = Neg(a) y = Add(b, z) }""",
}


@pytest.mark.parametrize("kind", PARTS)
def test_the_part_that_is_named_is_imported(kind):
    opsets = '"" : 13, "com.microsoft" : 1'
    text = f"<ir_version: 8, opset_import: [{opsets}]> {PARTS[kind]}"
    model = onnx.parser.parse_model(text)
    with pytest.raises(ConversionError, match=r"import the part (before|after) it") as no:
        import_onnx(model, simplify=False)
    call = re.search(r"onnxgraph\.cut\(.*?\]\)", str(no.value)).group()
    part = eval(call, {"onnxgraph": onnxgraph, "model": model}).model
    imported = import_onnx(part, simplify=False)
    given = {spec.name: spec.random(3) for spec in onnxgraph.inputs(part)}
    for name, value in run_onnx(part, given).items():
        np.testing.assert_allclose(imported.run(given)[name], value, rtol=1e-6)
