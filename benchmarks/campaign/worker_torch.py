"""Imports an ONNX model into PyTorch and runs the module; `refused` begins what it refuses.

Requests and answers are those of `worker_tf.py`; the file is model.onnx.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import onnx
import torch

from nbhelpers.errors import Refusal
from nbhelpers.train import import_onnx

ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
torch.set_num_threads(1)


def run(request):
    """Import the model, run it on every run of the request and return the names of its outputs."""
    home = Path(request["folder"])
    imported = import_onnx(onnx.load(home / "model.onnx"), simplify=False)
    for number, inputs in enumerate(request["names"]):
        with np.load(home / f"in{number}.npz") as arrays:
            outputs = imported.run({name: arrays[str(n)] for n, name in enumerate(inputs)})
        values = [outputs[name] for name in imported.output_names]
        np.savez(home / f"out{number}.npz", **{str(n): v for n, v in enumerate(values)})
    return imported.output_names


def main():
    """Answer requests until standard input ends."""
    for line in sys.stdin:
        answer = {"error": "", "outputs": []}
        try:
            answer["outputs"] = run(json.loads(line))
        except Refusal as error:
            answer["error"] = f"refused {str(error)[:300]}"
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {str(error)[:300]}"
        ANSWERS.write(json.dumps(answer) + "\n")
        ANSWERS.flush()


if __name__ == "__main__":
    main()
