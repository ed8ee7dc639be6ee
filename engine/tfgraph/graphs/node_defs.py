"""Make nodes of a GraphDef, and write out their default attributes."""

from typing import TYPE_CHECKING

import numpy as np

from graphcore.copies import copy_of

if TYPE_CHECKING:
    from tensorflow.core.framework.attr_value_pb2 import AttrValue
    from tensorflow.core.framework.node_def_pb2 import NodeDef


def defaults(op: str) -> dict[str, "AttrValue"]:
    """Return the attributes of an op that have a default, with their default values."""
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op)
    if definition is None:
        return {}
    return {a.name: a.default_value for a in definition.attr if a.HasField("default_value")}


def with_defaults(node: "NodeDef") -> "NodeDef":
    """Return a copy of a node with every attribute written out."""
    copy = copy_of(node)
    for name, value in defaults(node.op).items():
        if name not in copy.attr:
            copy.attr[name].CopyFrom(value)
    return copy


def like(node: "NodeDef", op: str, *attributes: str) -> "NodeDef":
    """Return a node with another op, the same name and inputs, and only these attributes."""
    result = type(node)(name=node.name, op=op, input=node.input)
    for name in attributes:
        result.attr[name].CopyFrom(node.attr[name])
    return result


def new(name: str, op: str, inputs: list[str], **types: int) -> "NodeDef":
    """Return a node. `types` maps its type attributes to their values."""
    from tensorflow.core.framework import node_def_pb2

    node = node_def_pb2.NodeDef(name=name, op=op, input=inputs)
    for attribute, code in types.items():
        node.attr[attribute].type = code
    return node


def const(name: str, value: np.ndarray, dtype: int) -> "NodeDef":
    """Return a Const of the type `dtype` (a DataType)."""
    from tensorflow.python.framework import tensor_util

    node = new(name, "Const", [], dtype=dtype)
    proto = tensor_util.make_tensor_proto(value, dtype=dtype)
    node.attr["value"].tensor.CopyFrom(proto)
    return node
