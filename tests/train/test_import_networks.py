"""Architectures that an import is judged by: each agrees with onnxruntime, and means something.

onnx's own graphs where its wheel has them, exports of seeded networks otherwise. Here are those
that are quick; `benchmarks/onnx2torch` measures all fifteen.
"""

import numpy as np
import pytest

from benchmarks.onnx2torch import models
from nbhelpers import onnxgraph
from nbhelpers.train import import_onnx

pytestmark = [pytest.mark.slow]

QUICK = (
    "Inception v1",
    "SqueezeNet 1.1",
    "ShuffleNet v1",
    "ResNet-50 v2",
    "ShuffleNet v2",
    "YOLOv5-class detector",
)


@pytest.mark.parametrize("name", QUICK)
def test_it_becomes_pytorch(name):
    model = models.model(name)
    imported = import_onnx(model, simplify=name in models.EXPORTS)  # others have little to fold
    assert imported.squared_error < 1e-7
    assert [report.title.split()[1] for report in imported.reports] == ["1", "3"]
    (spec,) = imported.inputs
    # Not zeros, not all the same, and another picture gives another answer.
    one, two = (imported.run({spec.name: spec.random(2, seed=seed)}) for seed in (1, 2))
    for output, values in one.items():
        assert np.isfinite(values).all()
        assert values.std() > 1e-5, (output, values.std())
        assert np.abs(values - two[output]).max() > 1e-5
    # Every weight of the file is a parameter (or a running statistic), under a known name.
    held = sum(value.numel() for value in imported.module.state_dict().values())
    weights = {each.name: each for each in imported.model.graph.initializer}
    scales = {name for n in imported.model.graph.node if n.op_type == "Resize" for name in n.input}
    floats = [e for e in weights.values() if e.data_type == 1 and e.name not in scales]
    assert held >= sum(int(np.prod(each.dims)) for each in floats)
    assert set(imported.weights.values()) <= set(weights)
    assert onnxgraph.opset(model) in (9, 13)
