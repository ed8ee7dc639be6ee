"""How a handler is registered with onnx-tf, and what it is given: the tensors made so far."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from nbhelpers.convert import compat

compat.load()  # before onnx_tf: it cannot be imported on its own

import tensorflow as tf  # noqa: E402
from onnx_tf.handlers.backend_handler import BackendHandler  # noqa: E402
from onnx_tf.handlers.handler import onnx_op  # noqa: E402
from onnx_tf.pb_wrapper import OnnxNode  # noqa: E402

from nbhelpers.convert.naming import Names  # noqa: E402
from nbhelpers.errors import ConversionError  # noqa: E402

Value: TypeAlias = tf.Tensor | np.ndarray
"""A tensor of the graph, or a weight that has not entered it."""


class Tensors(dict):
    """ONNX tensor name to TensorFlow tensor; weights become constants when they are asked for.

    Our handlers take weights as arrays and write them in the layout that TensorFlow wants; an array
    that no other handler asks for never enters the graph.
    """

    def __init__(self, weights: dict[str, np.ndarray], names: Names) -> None:
        """Start with the model's `weights`; constants are named by `names`."""
        super().__init__()
        self.weights = weights
        self._names = names

    def __contains__(self, name: object) -> bool:
        """Whether a node made `name`, or it is a weight."""
        return super().__contains__(name) or name in self.weights

    def __missing__(self, name: str) -> tf.Tensor:
        """Make the constant for a weight, outside any name scope."""
        value = self.weights[name]
        with tf.compat.v1.get_default_graph().name_scope(None):
            self[name] = tf.constant(value, name=self._names.legal(name))
        return self[name]

    def get(self, name: str, default: object = None) -> object:
        """Return the tensor, as `dict.get` does (which would not see the weights)."""
        return self[name] if name in self else default  # noqa: SIM401 (it would call itself)


def constant(value: Value | None) -> np.ndarray | None:
    """Return a value that is known while the graph is being built, else None."""
    if value is None or isinstance(value, np.ndarray):
        return value
    return tf.get_static_value(value)


def refusal(node: OnnxNode, reason: str) -> ConversionError:
    """Return the error to raise for a node; `reason` goes on after its name."""
    return ConversionError(f"ONNX node {node.name!r} ({node.op_type}) {reason}")


def _handle(cls: Any, node: OnnxNode, **kwargs: Tensors) -> list[tf.Tensor]:
    """Collect the node's inputs (None where one is left out, arrays for weights) and convert it."""
    tensors = kwargs["tensor_dict"]
    data, *others = node.inputs
    arrays = getattr(tensors, "weights", {})
    values = [arrays[name] if name in arrays else tensors.get(name) for name in others]
    return cls.convert(node, tensors[data], *values)


def register(op: str) -> Callable[[Callable], type]:
    """Make a function the handler of an ONNX op: onnx-tf finds subclasses of BackendHandler.

    The function gets the ONNX node and its inputs, of which the first is made a tensor.
    """

    def decorate(convert: Callable) -> type:
        body = {
            "handle": classmethod(_handle),
            "convert": staticmethod(convert),
            "__doc__": convert.__doc__,
        }
        return onnx_op(op)(type(op, (BackendHandler,), body))

    return decorate
