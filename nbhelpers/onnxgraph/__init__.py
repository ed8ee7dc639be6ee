"""ONNX to ONNX, without a framework: look into a model, run it, change it, prove the change.

A model that is not valid is refused. Every verb returns a new model that was checked and
shape-inferred; the one that came in is untouched.
"""

from nbhelpers.onnxgraph import repairs
from nbhelpers.onnxgraph.anatomy import Anatomy, anatomy, arrows, op_histogram
from nbhelpers.onnxgraph.cases import accuracy, check_cases, renamed_cases, run_case
from nbhelpers.onnxgraph.editing.attributes import set_attributes
from nbhelpers.onnxgraph.editing.cut import add_outputs, cut
from nbhelpers.onnxgraph.editing.edit import infer_shapes
from nbhelpers.onnxgraph.editing.edited import Edited
from nbhelpers.onnxgraph.editing.input_specs import set_inputs
from nbhelpers.onnxgraph.editing.insert import insert_after, insert_before
from nbhelpers.onnxgraph.editing.join import join
from nbhelpers.onnxgraph.editing.proof import same
from nbhelpers.onnxgraph.editing.rename import rename, rename_nodes
from nbhelpers.onnxgraph.editing.replace import remove, replace
from nbhelpers.onnxgraph.editing.weights import set_weight, weight_sizes
from nbhelpers.onnxgraph.files import check, load, save
from nbhelpers.onnxgraph.given import use_examples
from nbhelpers.onnxgraph.interface import inputs, opset, outputs
from nbhelpers.onnxgraph.looking.cost import Cost, cost
from nbhelpers.onnxgraph.looking.excerpt import Excerpt, excerpt
from nbhelpers.onnxgraph.looking.look import find_nodes, neighbours
from nbhelpers.onnxgraph.lowering import lower_opset
from nbhelpers.onnxgraph.precision import precisions
from nbhelpers.onnxgraph.run import Runner, run_onnx, tensor_names
from nbhelpers.onnxgraph.simplifying.simplify import Simplified, simplify
from nbhelpers.onnxgraph.sizing.batch import make_batch_dynamic
from nbhelpers.onnxgraph.sizing.dims import free_dims
from nbhelpers.onnxgraph.sizing.dims_fixed import fix_dims

__all__ = [
    "Anatomy",
    "Cost",
    "Edited",
    "Excerpt",
    "Runner",
    "Simplified",
    "accuracy",
    "add_outputs",
    "anatomy",
    "arrows",
    "check",
    "check_cases",
    "cost",
    "cut",
    "excerpt",
    "find_nodes",
    "fix_dims",
    "free_dims",
    "infer_shapes",
    "inputs",
    "insert_after",
    "insert_before",
    "join",
    "load",
    "lower_opset",
    "make_batch_dynamic",
    "neighbours",
    "op_histogram",
    "opset",
    "outputs",
    "precisions",
    "remove",
    "rename",
    "rename_nodes",
    "renamed_cases",
    "repairs",
    "replace",
    "run_case",
    "run_onnx",
    "same",
    "save",
    "set_attributes",
    "set_inputs",
    "set_weight",
    "simplify",
    "tensor_names",
    "use_examples",
    "weight_sizes",
]
