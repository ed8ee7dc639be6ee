"""Modules that compute in half floats: the file is compared with the tolerance of these."""

import numpy as np
import torch
from torch import nn

from graphcore import parity
from graphcore.golden import Case
from graphcore.spec import parse_specs
from nbhelpers import onnxgraph, train


class Half(nn.Module):
    """Float32 goes in and out."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(32, 256).half(), nn.Linear(256, 10).half()

    def forward(self, x):
        return self.second(torch.relu(self.first(x.half()))).float()


def test_half_floats_inside_are_exported_and_cases_agree(tmp_path):
    module, rows = Half().eval(), np.random.default_rng(0).random((5, 32), np.float32)
    made = train.export_onnx(module, parse_specs("x:batch,32"), tmp_path / "m.onnx")
    assert not any("compared" in each for each in made.warnings)
    model = onnxgraph.load(made.path)
    given = train.run_torch(module, {"x": rows}, ["output"])
    (report,) = onnxgraph.check_cases(model, [Case("one", {"x": rows}, given)])
    (row,) = report.check().rows
    assert parity.TOLERANCE < row.relative < row.tolerance == parity.COARSE["float16"]
