"""ONNX → TensorFlow: convert, look inside, give names, sign, prove on the real runtimes.

TensorFlow is imported when it is first needed, not by importing this package.
"""

from nbhelpers.convert.clients.trial import Trial
from nbhelpers.convert.clients.trying import try_clients
from nbhelpers.convert.comparing.layers import compare_layers, first_difference
from nbhelpers.convert.comparing.tracing import traced
from nbhelpers.convert.comparing.twins import Twin, twins
from nbhelpers.convert.compat import tensorflow
from nbhelpers.convert.conversion import Conversion
from nbhelpers.convert.graphs.foreign_ops import allow_ops
from nbhelpers.convert.graphs.graphdef import (
    GraphView,
    load_graph_def,
    op_histogram,
    save_graph_def,
)
from nbhelpers.convert.graphs.run import run_tf
from nbhelpers.convert.optables import TARGETS
from nbhelpers.convert.pipeline import onnx2tf, run_conversion
from nbhelpers.convert.preflight import Preflight, preflight
from nbhelpers.convert.savedmodels.reading import (
    SavedModel,
    Signature,
    call_saved_model,
    load_saved_model,
    open_graph,
    read_saved_model,
)
from nbhelpers.convert.savedmodels.writing import build_saved_model
from nbhelpers.convert.toonnx.verb import OnnxConversion, tf2onnx

__all__ = [
    "TARGETS",
    "Conversion",
    "GraphView",
    "OnnxConversion",
    "Preflight",
    "SavedModel",
    "Signature",
    "Trial",
    "Twin",
    "allow_ops",
    "build_saved_model",
    "call_saved_model",
    "compare_layers",
    "first_difference",
    "load_graph_def",
    "load_saved_model",
    "onnx2tf",
    "op_histogram",
    "open_graph",
    "preflight",
    "read_saved_model",
    "run_conversion",
    "run_tf",
    "save_graph_def",
    "tensorflow",
    "tf2onnx",
    "traced",
    "try_clients",
    "twins",
]
