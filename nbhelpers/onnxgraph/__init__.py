"""ONNX to ONNX, without a framework: look into a model, run it, change it, prove the change.

Every verb returns a new model that was checked and shape-inferred; the one that came in is
untouched.
"""

from nbhelpers.onnxgraph.anatomy import Anatomy, anatomy, arrows, op_histogram
from nbhelpers.onnxgraph.batch import DynamicBatch, make_batch_dynamic
from nbhelpers.onnxgraph.cases import accuracy, check_cases, renamed_cases, run_case
from nbhelpers.onnxgraph.edit import infer_shapes
from nbhelpers.onnxgraph.edited import Edited
from nbhelpers.onnxgraph.files import check, load, save
from nbhelpers.onnxgraph.interface import inputs, opset, outputs
from nbhelpers.onnxgraph.proof import same
from nbhelpers.onnxgraph.rename import rename
from nbhelpers.onnxgraph.run import Runner, run_onnx, tensor_names
from nbhelpers.onnxgraph.simplify import Simplified, simplify

__all__ = [
    "Anatomy",
    "DynamicBatch",
    "Edited",
    "Runner",
    "Simplified",
    "accuracy",
    "anatomy",
    "arrows",
    "check",
    "check_cases",
    "infer_shapes",
    "inputs",
    "load",
    "make_batch_dynamic",
    "op_histogram",
    "opset",
    "outputs",
    "rename",
    "renamed_cases",
    "run_case",
    "run_onnx",
    "same",
    "save",
    "simplify",
    "tensor_names",
]
