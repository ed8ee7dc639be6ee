"""Replace both kinds of TensorFlow 1's variables, references and resources, by constants."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from graphcore.errors import GraphError
from tfgraph.graphs.order import in_order, maker

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

VARIABLES = ("VariableV2", "Variable", "VarHandleOp")

_INT32 = 3
"""TensorFlow's number for the type."""

_PASSING = ("Identity", "Switch", "Enter", "Merge", "NextIteration", "Exit")
"""Ops that pass a variable on. Those for references have the same name with "Ref" before it."""


def variables(graph_def: "GraphDef") -> list["NodeDef"]:
    """Return the nodes that hold variables."""
    return [node for node in graph_def.node if node.op in VARIABLES]


def with_constants(graph_def: "GraphDef", values: Mapping[str, np.ndarray]) -> "GraphDef":
    """Return the graph with constants in place of its variables.

    Args:
        graph_def: a graph that no longer assigns to its variables.
        values: variable node → value.

    Raises:
        GraphError: a node takes a variable's reference and not its value. The error names the node.
    """
    from tensorflow import make_tensor_proto

    result = in_order(graph_def)
    handed: dict[str, int] = {}
    handles = {node.name for node in result.node if node.op == "VarHandleOp"}
    for node in list(result.node):
        if node.op in VARIABLES:
            kind = node.attr["dtype"].type
            tensor = make_tensor_proto(values[node.name], dtype=kind)
            _become(node, "Const", dtype=kind)
            node.attr["value"].tensor.CopyFrom(tensor)
            handed[node.name] = kind
            continue
        given = [maker(each) for each in node.input if maker(each) in handed]
        if given and not _took(node, handed, result) and handles & set(given):
            raise GraphError(
                f"The outputs need {node.name!r} ({node.op}), which takes a variable itself and "
                "not its value; save the model as a SavedModel and give that, or choose other "
                "outputs."
            )
        if node.name in handed and handles & set(given):
            handles.add(node.name)
    return result


def _took(node: "NodeDef", handed: dict[str, int], graph_def: "GraphDef") -> bool:
    """Make a node that reads a variable take the value instead. Return whether it can."""
    first = maker(node.input[0])
    kind = handed.get(first, 0)
    if first not in handed:
        return False
    if node.op.removeprefix("Ref") in _PASSING:
        node.op = node.op.removeprefix("Ref")
        node.attr["T"].type = kind
        handed[node.name] = kind
        return True
    if node.op == "ReadVariableOp":
        _become(node, "Identity", T=kind)
        return True
    if node.op == "ResourceGather" and not node.attr["batch_dims"].i:
        indices = node.attr["Tindices"].type
        axis = graph_def.node.add(name=f"{node.name}/axis", op="Const")
        axis.attr["dtype"].type = _INT32
        axis.attr["value"].tensor.dtype = _INT32
        axis.attr["value"].tensor.tensor_shape.SetInParent()
        axis.attr["value"].tensor.int_val.append(0)
        _become(node, "GatherV2", Tparams=kind, Tindices=indices, Taxis=_INT32)
        node.input.insert(2, axis.name)
        return True
    return False


def _become(node: "NodeDef", op: str, **types: int) -> None:
    """Turn a node into another op, with these type attributes."""
    node.op = op
    node.attr.clear()
    for name, value in types.items():
        node.attr[name].type = value
