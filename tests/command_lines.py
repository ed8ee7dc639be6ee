"""Small files for the command lines, and a function that runs a command in this process."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from click.testing import CliRunner

from graphcore.commandline import Program
from graphcore.golden import Case, save_golden
from onnxgraph import cut, fix_dims, run_onnx

NETWORK = """<ir_version: 7, opset_import: ["" : 13]>
network (float[batch, 3, 8, 8] images) => (float[batch, 4] scores)
<float[2] bias = {0.1, -0.2}, float[4] shift = {0.0, 0.1, 0.2, 0.3}, int64[2] target = {0, 32}> {
    [conv] features = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(images, kernel, bias)
    [act] active = Relu(features)
    [flat] rows = Reshape(active, target)
    [scores] scores = Gemm<transB = 1>(rows, weight, shift)
}"""

SQUARE = """<ir_version: 7, opset_import: ["" : 13]>
square (float[batch, 3, 8, 8] images) => (float[batch, 3, 1, 1] means) {
    pooled = Relu(images)
    means = GlobalAveragePool(pooled)
}"""


@dataclass(frozen=True)
class Called:
    """The result of a command: its exit code and its output."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The JSON document that it printed."""
        return json.loads(self.out)


def call(program: Program, line: str) -> Called:
    """Run a command line such as "onnxgraph look model.onnx" in this process."""
    result = CliRunner().invoke(program, shlex.split(line)[1:], catch_exceptions=False)
    return Called(result.exit_code, result.stdout, result.stderr)


def network() -> onnx.ModelProto:
    """Return a small network with a convolution and a classifier."""
    model = onnx.parser.parse_model(NETWORK)
    draw = np.random.default_rng(0).standard_normal
    for name, shape in (("kernel", (2, 3, 3, 3)), ("weight", (4, 32))):
        value = draw(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    onnx.checker.check_model(model)
    return model


def write_files(folder: Path) -> Path:
    """Write every file that the examples in the help of `onnxgraph` read."""
    model, square = network(), onnx.parser.parse_model(SQUARE)
    feeds = {"images": np.ones((2, 3, 8, 8), np.float32)}
    models = {
        "model": model,
        "simple": model,
        "fixed": fix_dims(model, {"batch": 1}).model,
        "square": square,
        "front": cut(square, outputs="pooled").model,
        "back": cut(square, inputs="pooled").model,
    }
    for name, each in models.items():
        onnx.save(each, folder / f"{name}.onnx")
    np.savez(folder / "inputs.npz", **feeds)
    np.save(folder / "zeros.npy", np.zeros(2, np.float32))
    save_golden(folder / "golden.npz", [Case("two", feeds, run_onnx(model, feeds))])
    return folder
