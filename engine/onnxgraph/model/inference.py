"""ONNX's inference of types and shapes, with errors for damaged models in one form."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import checker, shape_inference

from graphcore.errors import GraphError

NATIVE = (
    checker.ValidationError,
    shape_inference.InferenceError,
    DecodeError,
    EncodeError,
    IndexError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Errors of ONNX's native code: its own, and those that pybind makes from C++ errors."""

LONGEST = 1000
"""The most characters that are quoted from an error."""


class InferenceFailed(GraphError):
    """The shapes of a graph contradict each other, or the graph cannot be read."""

    def __init__(self, error: Exception) -> None:
        """Take the error."""
        self.reason = said(error).replace("[ShapeInferenceError] ", "")
        super().__init__(f"The shapes of the graph do not fit together: {said(error)}")


def infer_shapes(
    model: onnx.ModelProto, *, strict_mode: bool = False, data_prop: bool = False
) -> onnx.ModelProto:
    """Return the model with the result of `onnx.shape_inference.infer_shapes`.

    Raises:
        InferenceFailed: it refuses the model.
    """
    try:
        return shape_inference.infer_shapes(model, strict_mode=strict_mode, data_prop=data_prop)
    except NATIVE as error:
        raise InferenceFailed(error) from error


def infer_node(
    schema: Any,
    node: onnx.NodeProto,
    types: Mapping[str, onnx.TypeProto],
    data: Mapping[str, onnx.TensorProto],
    opsets: Sequence[onnx.OperatorSetIdProto],
) -> dict[str, onnx.TypeProto]:
    """Return the types of a node's outputs, from those of its inputs and from known values.

    Raises:
        InferenceFailed: it refuses the node.
    """
    infer = shape_inference.infer_node_outputs
    try:
        return infer(schema, node, dict(types), dict(data), opset_imports=list(opsets))
    except NATIVE as error:
        raise InferenceFailed(error) from error


def said(error: object) -> str:
    """Return an error's text on one line of limited length."""
    return textwrap.shorten(str(error), LONGEST, placeholder=" …")
