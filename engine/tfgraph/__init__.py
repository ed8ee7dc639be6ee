"""ONNX ⇄ TensorFlow: convert, look inside, rename, sign, and run on this TensorFlow and old ones.

Importing this package does not import TensorFlow, which is loaded when it is first needed.
"""

from graphcore.targets import NAMES as TARGETS
from tfgraph.building.build import build, prepare
from tfgraph.comparing.layers import compare_layers, first_difference
from tfgraph.comparing.on_target import compare_on_target
from tfgraph.comparing.tensor_map import Twin, names_json, twins
from tfgraph.comparing.tracing import traced
from tfgraph.conversion import Conversion
from tfgraph.framework import tensorflow
from tfgraph.graphs.foreign_ops import allow_ops
from tfgraph.graphs.graphdef import GraphView, load_graph_def, op_histogram, save_graph_def
from tfgraph.graphs.run import run_tf
from tfgraph.optimising.optimise import optimise
from tfgraph.pipeline import onnx2tf, run_conversion, written
from tfgraph.preflight import Preflight, preflight
from tfgraph.retargeting.retarget import retarget
from tfgraph.savedmodels.loading import call_saved_model, load_saved_model
from tfgraph.savedmodels.opening import open_graph
from tfgraph.savedmodels.reading import SavedModel, Signature, read_saved_model
from tfgraph.savedmodels.writing import build_saved_model
from tfgraph.toonnx.verb import OnnxConversion, tf2onnx

__all__ = [
    "TARGETS",
    "Conversion",
    "GraphView",
    "OnnxConversion",
    "Preflight",
    "SavedModel",
    "Signature",
    "Twin",
    "allow_ops",
    "build",
    "build_saved_model",
    "call_saved_model",
    "compare_layers",
    "compare_on_target",
    "first_difference",
    "load_graph_def",
    "load_saved_model",
    "names_json",
    "onnx2tf",
    "op_histogram",
    "open_graph",
    "optimise",
    "preflight",
    "prepare",
    "read_saved_model",
    "retarget",
    "run_conversion",
    "run_tf",
    "save_graph_def",
    "tensorflow",
    "tf2onnx",
    "traced",
    "twins",
    "written",
]
