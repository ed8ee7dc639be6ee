"""Read Keras models from a file, and freeze them with the names of their inputs and outputs."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphcore.errors import GraphError, first_line
from tfgraph import framework
from tfgraph.graphs.order import maker
from tfgraph.toonnx import tf2_functions

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

FILES = (".keras", ".h5", ".hdf5")

Frozen = tuple["GraphDef", dict[str, str], dict[str, str]]
"""A graph, and the tensors of its inputs and outputs by Keras' names."""


def load(path: Path) -> Any:
    """Return the model in a Keras file, without running any code from the file.

    Raises:
        GraphError: the file does not exist, holds only weights, or needs code of its own.
    """
    framework.tensorflow()
    import keras

    if not path.is_file():
        raise GraphError(f"There is no file {path}; a Keras model was expected.")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise GraphError(
            f"Keras {keras.__version__} cannot load {path}: {first_line(error)}. A model with "
            "layers of its own is loaded by your code (custom_objects=…) and given as an object; a "
            "file of weights alone belongs into its model first."
        ) from error


def is_file(path: Path) -> bool:
    """Whether a path has the suffix of a Keras file."""
    return path.suffix in FILES


def frozen(model: Any) -> Frozen:
    """Return a model's inference graph with its weights as constants.

    Raises:
        GraphError: it is not a Keras model, does not state its inputs, or cannot be traced.
    """
    tf = framework.tensorflow()
    if not callable(model) or not hasattr(model, "get_config"):
        raise GraphError(
            "The source must be a frozen graph (.pb), a SavedModel folder, a checkpoint, a Keras "
            f"model or what onnx2tf returned, not something of type {type(model).__name__}."
        )
    if not getattr(model, "inputs", None):
        raise GraphError(
            f"The Keras model {model.name!r} does not state its inputs. Call it once on an "
            "example, write it with model.export(folder), and give the folder."
        )
    specs = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=f"keras_input_{place}")
        for place, tensor in enumerate(model.inputs)
    ]
    traced = tf.function(_inference(model), input_signature=specs, autograph=False)
    try:
        function = traced.get_concrete_function()
        graph_def, fed, made = tf2_functions.frozen(function, f"The model {model.name!r}")
    except GraphError:
        raise
    except Exception as error:
        raise GraphError(
            f"The model {model.name!r} cannot be frozen: {first_line(error)}"
        ) from error
    return graph_def, _by_name(_input_names(model), fed), _by_name(_output_names(model), made)


def _inference(model: Any) -> Callable[..., list[Any]]:
    """Return a function that takes the model's inputs one by one and returns its outputs."""
    tf = framework.tensorflow()
    structure = getattr(model, "_inputs_struct", None)

    def call(*values: Any) -> list[Any]:
        given = values[0]
        if structure is not None:
            given = tf.nest.pack_sequence_as(structure, values)
        return tf.nest.flatten(model(given, training=False))

    return call


def _input_names(model: Any) -> list[str]:
    """Return the names that the user gave. Keras numbers the others anew in each process."""
    names = [maker(tensor.name) for tensor in model.inputs]
    return ["input" if name.startswith("keras_tensor") else name for name in names]


def _output_names(model: Any) -> list[str]:
    structure = getattr(model, "_outputs_struct", None)
    if isinstance(structure, dict) and len(structure) == len(model.outputs):
        return sorted(structure)  # in the order of tf.nest.flatten
    names = getattr(model, "output_names", None) or [model.layers[-1].name]
    return list(names) if len(names) == len(model.outputs) else ["output"] * len(model.outputs)


def _by_name(names: list[str], tensors: list[Any]) -> dict[str, str]:
    """Return name → tensor. A repeated name gets a number."""
    found: dict[str, str] = {}
    for name, tensor in zip(names, tensors, strict=True):
        name, number = maker(name), 1
        free = name
        while free in found:
            free, number = f"{name}_{number}", number + 1
        found[free] = tensor.name
    return found
