"""Runs ONNX models in onnxruntime without its optimiser, or in onnx's reference evaluator.

The folder of a request (`serving.py`) holds model.onnx. `by` names the runtime.
"""

from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import onnxruntime
from serving import compute, serve


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
    opened = {"onnxruntime": _onnxruntime, "reference": _reference}[request["by"]]
    names, call = opened(Path(request["folder"], "model.onnx").read_bytes())
    with np.errstate(all="ignore"):
        compute(request, call)
    return names


if __name__ == "__main__":
    serve(run)
