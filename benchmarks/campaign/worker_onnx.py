"""Runs ONNX models in onnxruntime without its optimiser, or in onnx's reference evaluator.

Requests and answers are those of `worker_tf.py`; the file is model.onnx, and `by` names who runs.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import onnxruntime

ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def _onnxruntime(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return names, lambda fed: session.run(names, fed)


def _reference(model):
    evaluator = onnx.reference.ReferenceEvaluator(onnx.load_model_from_string(model))
    return list(evaluator.output_names), lambda fed: evaluator.run(None, fed)


def run(request):
    """Run the model on every run of the request and return the names of its outputs."""
    home = Path(request["folder"])
    opened = {"onnxruntime": _onnxruntime, "reference": _reference}[request["by"]]
    names, call = opened((home / "model.onnx").read_bytes())
    for number, inputs in enumerate(request["names"]):
        with np.load(home / f"in{number}.npz") as arrays:
            fed = {name: arrays[str(place)] for place, name in enumerate(inputs)}
        with np.errstate(all="ignore"):
            values = call(fed)
        np.savez(home / f"out{number}.npz", **{str(n): np.asarray(v) for n, v in enumerate(values)})
    return names


def main():
    """Answer requests until standard input ends."""
    for line in sys.stdin:
        answer = {"error": "", "outputs": []}
        try:
            answer["outputs"] = run(json.loads(line))
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {str(error)[:300]}"
        ANSWERS.write(json.dumps(answer) + "\n")
        ANSWERS.flush()


if __name__ == "__main__":
    main()
