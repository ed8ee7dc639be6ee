"""Set attributes of nodes. The operator's schema determines the type of each value."""

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, defs

from graphcore.errors import GraphError, first_line, unknown_name
from onnxgraph.editing.result import Edited, copied, rewired
from onnxgraph.model.domains import domain, opsets
from onnxgraph.model.entry_check import checked
from onnxgraph.model.formatting import attribute_text
from onnxgraph.model.nodes import locate, node_name, titled

Schema = Any
"""An `onnx.defs.OpSchema`."""


@checked
def set_attributes(model: onnx.ModelProto, node: str, /, **values: Any) -> Edited:
    """Return the model with other attributes of one node.

    Several can be set at once, such as those of a pool that only fit together. None removes an
    attribute, which then has the operator's default.

    Args:
        model: the model. It is not changed.
        node: the node's name, or the name of a tensor that it writes.
        values: attribute name to value: integer, number, text, lists of these, or a numpy array for
            a tensor.

    Raises:
        UnknownName: there is no such node, or the operator has no such attribute.
        GraphError: a value has another type than the operator needs, or does not fit the graph.
    """
    copy = copied(model)
    _, found = locate(copy, node)
    schema = schema_of(copy, found)
    changes = []
    for name, value in values.items():
        was = next((each for each in found.attribute if each.name == name), None)
        changes.append(
            f"{titled(found)}: {name} {attribute_text(was)} → {_place(found, schema, name, value)}"
        )
    return rewired(model, copy, changes, [node_name(found)])


def schema_of(model: onnx.ModelProto, node: onnx.NodeProto) -> Schema | None:
    """Return the schema of a node's operator in the model's opset, or None if ONNX has none."""
    versions = opsets(model)
    try:
        return defs.get_schema(node.op_type, versions.get(domain(node), 1), domain(node))
    except defs.SchemaError:
        return None


def typed(
    node: onnx.NodeProto, schema: Schema | None, name: str, value: Any
) -> onnx.AttributeProto:
    """Return an attribute of the type that the operator needs.

    For an operator that ONNX does not know, it is the type of the node's present attribute.

    Raises:
        UnknownName: the operator has no such attribute.
        GraphError: the value has another type.
    """
    if schema is not None:
        if name not in schema.attributes:
            raise unknown_name(f"attribute of {titled(node)}", name, schema.attributes)
        kind = schema.attributes[name].type.name
    else:
        was = next((each for each in node.attribute if each.name == name), None)
        if was is None:
            return _made(node, name, value)
        kind = AttributeProto.AttributeType.Name(was.type)
    words, convert = _KINDS.get(kind, (f"of the type {kind}", None))
    if convert is None:
        raise GraphError(
            f"The attribute {name!r} of {titled(node)} is {words}, which cannot be set."
        )
    try:
        plain = convert(value)
    except OverflowError as error:
        raise _cannot_hold(node, name, value, error) from error
    if plain is None:
        raise GraphError(
            f"The attribute {name!r} of {titled(node)} must be {words}, but {value!r} is "
            f"{type(value).__name__}."
        )
    return _made(node, name, plain, getattr(AttributeProto, kind))


def _made(
    node: onnx.NodeProto, name: str, value: Any, kind: int | None = None
) -> onnx.AttributeProto:
    try:
        return onnx.helper.make_attribute(name, value, attr_type=kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise _cannot_hold(node, name, value, error) from error


def _cannot_hold(node: onnx.NodeProto, name: str, value: Any, error: Exception) -> GraphError:
    shown = textwrap.shorten(repr(value), 60, placeholder=" …")
    return GraphError(
        f"The attribute {name!r} of {titled(node)} cannot hold {shown}: {first_line(error)}. Give "
        "it a value that ONNX can store."
    )


def _place(node: onnx.NodeProto, schema: Schema | None, name: str, value: Any) -> str:
    """Set or remove one attribute and return its new value in words."""
    new = None if value is None else typed(node, schema, name, value)
    for place in reversed(range(len(node.attribute))):
        if node.attribute[place].name == name:
            del node.attribute[place]
    if new is not None:
        node.attribute.append(new)
    elif schema is not None and name not in schema.attributes:
        raise unknown_name(f"attribute of {titled(node)}", name, schema.attributes)
    elif schema is not None and schema.attributes[name].required:
        raise GraphError(
            f"The attribute {name!r} of {titled(node)} cannot be removed, because the operator "
            "needs it."
        )
    return attribute_text(new)


def _integer(value: Any) -> int | None:
    return int(value) if isinstance(value, int | np.integer | np.bool_) else None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float | np.integer | np.floating)
    return float(value) if is_number and not isinstance(value, bool) else None


def _text(value: Any) -> str | bytes | None:
    return value if isinstance(value, str | bytes) else None


def _all(one: Callable[[Any], Any]) -> Callable[[Any], list | None]:
    def convert(value: Any) -> list | None:
        if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
            return None
        if isinstance(value, np.ndarray) and value.ndim != 1:
            return None
        plain = [one(each) for each in value]
        return None if any(each is None for each in plain) else plain

    return convert


def _tensor(value: Any) -> onnx.TensorProto | None:
    if isinstance(value, onnx.TensorProto):
        return value
    is_array = isinstance(value, np.ndarray | np.generic)
    return onnx.numpy_helper.from_array(np.asarray(value)) if is_array else None


def _graph(value: Any) -> onnx.GraphProto | None:
    return value if isinstance(value, onnx.GraphProto) else None


_KINDS: Mapping[str, tuple[str, Callable[[Any], Any] | None]] = {
    "INT": ("a whole number", _integer),
    "FLOAT": ("a number", _number),
    "STRING": ("text", _text),
    "TENSOR": ("a numpy array", _tensor),
    "GRAPH": ("an onnx.GraphProto", _graph),
    "INTS": ("a list of whole numbers", _all(_integer)),
    "FLOATS": ("a list of numbers", _all(_number)),
    "STRINGS": ("a list of texts", _all(_text)),
    "TENSORS": ("a list of numpy arrays", _all(_tensor)),
}
