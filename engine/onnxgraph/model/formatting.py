"""Shapes, dtypes and attributes in the words of tables and messages."""

import onnx

from onnxgraph.model import interface

_SHOWN = 8
"""The longest attribute list that is shown in full."""


def shape_text(shape: tuple | None) -> str:
    """Return a shape as in tables: `batch × 3 × ?`, "scalar" or "unknown"."""
    if shape is None:
        return "unknown"
    return " × ".join("?" if dim is None else str(dim) for dim in shape) or "scalar"


def dtype_text(value: onnx.ValueInfoProto) -> str:
    """Return numpy's name for the dtype of a value, or its kind if it is not a tensor."""
    if not value.type.HasField("tensor_type"):
        return (value.type.WhichOneof("value") or "unknown").removesuffix("_type")
    elem_type = value.type.tensor_type.elem_type
    return interface.dtype(elem_type) if elem_type else "unknown"


def attribute_text(attribute: onnx.AttributeProto | None) -> str:
    """Return the value of an attribute, or "default" if there is none."""
    if attribute is None:
        return "default"
    try:
        value = onnx.helper.get_attribute_value(attribute)
    except ValueError:
        return f"<of the type {attribute.type}>"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return f"<tensor {interface.dtype(value.data_type)} {shape_text(tuple(value.dims))}>"
    if isinstance(value, onnx.GraphProto):
        return f"<graph of {len(value.node)} nodes>"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return str(value)
    if not hasattr(value, "__len__"):
        return f"<{type(value).__name__}>"
    values = list(value)
    more = f", … {len(values)} in all" if len(values) > _SHOWN else ""
    return "[" + ", ".join(map(_item, values[:_SHOWN])) + more + "]"


def _item(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return f"{value:g}" if isinstance(value, float) else str(value)
