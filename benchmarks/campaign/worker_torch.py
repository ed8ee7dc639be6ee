"""Imports an ONNX model into PyTorch and runs the module.

The folder of a request (`serving.py`) holds model.onnx.
"""

from pathlib import Path

import onnx
import torch
from serving import compute, serve

from graphcore.errors import Refusal
from nbhelpers.train import import_onnx


def run(request):
    """Import the model, run it on every run of the request and return the names of its outputs."""
    imported = import_onnx(onnx.load(Path(request["folder"], "model.onnx")), simplify=False)
    names = imported.output_names

    def call(fed):
        outputs = imported.run(fed)
        return [outputs[name] for name in names]

    compute(request, call)
    return names


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(run, refusal=Refusal)
