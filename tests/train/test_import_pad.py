"""Pad of an imported model fills any axes, of any rank and dtype, as numpy does."""

import numpy as np
import onnx
import pytest
import torch

from nbhelpers.train import import_onnx
from torchgraph.importing.functions import pad


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
def test_any_axes_are_filled(mode, dtype):
    widths = np.random.default_rng(0).integers(0, 3, (5, 2))
    for shape in ((5,), (3, 4), (3, 4, 5), (4, 3, 4, 5), (3, 3, 4, 4, 3)):
        for padded in {(len(shape) - 1,), (0,), tuple(range(len(shape)))}:
            x = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
            sides = [tuple(widths[n]) if n in padded else (0, 0) for n in range(len(shape))]
            pads = [int(side) for ends in zip(*sides, strict=True) for side in ends]
            seen = pad(torch.from_numpy(x), pads, mode=mode).numpy()
            assert np.array_equal(seen, np.pad(x, sides, mode=mode)), (shape, padded)


def test_a_batch_and_channels_are_reflected():
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[3, 2, 4, 5] x) => (float[5, 3, 5, 5] y)
        <int64[8] pads = {1, 0, 1, 0, 1, 1, 0, 0}> { y = Pad<mode = "reflect">(x, pads) }"""
    )
    x = np.arange(120, dtype=np.float32).reshape(3, 2, 4, 5)
    wanted = np.pad(x, [(1, 1), (0, 1), (1, 0), (0, 0)], mode="reflect")
    assert np.array_equal(import_onnx(model, simplify=False).run({"x": x})["y"], wanted)
