"""ONNX to ONNX, without a framework: look into a model, run it, change it, prove the change.

An invalid model is refused. Every verb returns a new model that was checked and shape-inferred, and
leaves its input unchanged.
"""

from onnxgraph import repairs
from onnxgraph.comparing.activations import load_activations
from onnxgraph.comparing.sources import OnnxSource
from onnxgraph.editing.attributes import set_attributes
from onnxgraph.editing.cut import add_outputs, cut
from onnxgraph.editing.finishing import infer_shapes
from onnxgraph.editing.insert import insert_after, insert_before
from onnxgraph.editing.join import join
from onnxgraph.editing.proof import same
from onnxgraph.editing.rename import rename, rename_nodes
from onnxgraph.editing.replace import remove, replace
from onnxgraph.editing.result import Edited
from onnxgraph.editing.weights import set_weight, weight_sizes
from onnxgraph.examples.cases import accuracy, check_cases, renamed_cases, run_case
from onnxgraph.examples.given import use_examples
from onnxgraph.looking.cost import Cost, cost
from onnxgraph.looking.look import find_nodes, neighbours
from onnxgraph.lowering import lower_opset
from onnxgraph.model.anatomy import Anatomy, anatomy, arrows, op_histogram
from onnxgraph.model.files import check, load, save
from onnxgraph.model.graph_picture import Excerpt, excerpt
from onnxgraph.model.interface import inputs, opset, outputs
from onnxgraph.model.precision import precisions
from onnxgraph.running.run import Runner, run_onnx, tensor_names
from onnxgraph.simplifying.simplify import Simplified, simplify
from onnxgraph.sizing.batch import make_batch_dynamic
from onnxgraph.sizing.dims import free_dims
from onnxgraph.sizing.dims_fixed import fix_dims
from onnxgraph.sizing.input_specs import set_inputs

__all__ = [
    "Anatomy",
    "Cost",
    "Edited",
    "Excerpt",
    "OnnxSource",
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
    "load_activations",
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
