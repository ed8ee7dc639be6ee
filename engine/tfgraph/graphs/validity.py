"""Check the form of a GraphDef: what TensorFlow's code, and ours, assume about its nodes.

TensorFlow checks inputs and attributes only when it imports a graph, and our code reads much before
that. It checks the values of constants only when they are needed, or never.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from graphcore.errors import GraphError
from graphcore.tensor_limit import largest_tensor
from tfgraph import framework
from tfgraph.graphs.order import every_node, ordered

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.framework.op_def_pb2 import OpDef

_FIELDS = {"int": "i", "float": "f", "string": "s", "bool": "b"}
"""TensorFlow's name of an attribute's kind → the field that holds it, where they differ."""


_TEXT = 64
"""The least number of bytes that a string takes in an array of objects."""


def check_nodes(graph_def: "GraphDef") -> None:
    """Check what TensorFlow does not check, or what ends the process when TensorFlow checks it.

    Raises:
        GraphError: as in `check_form`, or two nodes have one name, an input is missing, or nodes
            form a cycle.
    """
    ordered(graph_def)
    check_form(graph_def)


def check_form(graph_def: "GraphDef") -> None:
    """Check each node of a graph by itself, and those inside its functions too.

    Ops that this TensorFlow does not know are skipped.

    Raises:
        GraphError: a node has other inputs or attributes than its op takes, or a constant has other
            values than its shape and type say.
    """
    from tensorflow.python.framework import op_def_registry

    own = {function.signature.name for function in graph_def.library.function}
    for place, node in enumerate(every_node(graph_def)):
        definition = None if node.op in own else op_def_registry.get(node.op)
        if definition is None:
            continue
        faults = _attribute_faults(node, definition)
        fault = next(faults, "")
        if not fault and place < len(graph_def.node):  # inside functions one input may mean several
            fault = _input_fault(node, definition)
        if not fault and node.op == "Const":
            fault = _value_fault(node)
        if fault:
            raise GraphError(
                f"The node {node.name!r} ({node.op}) {fault}; the file was changed or damaged: "
                "make it again."
            )


def _attribute_faults(node: "NodeDef", definition: "OpDef") -> Iterator[str]:
    for wanted in definition.attr:
        if wanted.name not in node.attr:
            if not wanted.HasField("default_value"):
                yield f"lacks the attribute {wanted.name!r}"
            continue
        seen = node.attr[wanted.name].WhichOneof("value")
        kind = "list" if wanted.type.startswith("list(") else wanted.type
        if seen not in (_FIELDS.get(kind, kind), "placeholder"):
            yield f"has the attribute {wanted.name!r} of another kind than {wanted.type}"


def _input_fault(node: "NodeDef", definition: "OpDef") -> str:
    wanted = 0
    for each in definition.input_arg:
        if each.number_attr:
            wanted += node.attr[each.number_attr].i
        else:
            wanted += len(node.attr[each.type_list_attr].list.type) if each.type_list_attr else 1
    seen = sum(not each.startswith("^") for each in node.input)
    return "" if seen == wanted else f"has {seen} inputs and takes {wanted}"


def _value_fault(constant: "NodeDef") -> str:
    """Return what is wrong with the values of a constant, or ""."""
    tf = framework.tensorflow()
    tensor = constant.attr["value"].tensor
    if tensor.dtype != constant.attr["dtype"].type:
        return "has another type than its value"
    dims = [dim.size for dim in tensor.tensor_shape.dim]
    shown = "×".join(map(str, dims)) or "scalar"
    try:
        dtype = tf.as_dtype(tensor.dtype)
    except TypeError:
        return f"has the type {tensor.dtype}, which TensorFlow does not have"
    if min(dims, default=0) < 0 or tensor.tensor_shape.unknown_rank:
        return f"has the shape {shown}, which no value has"
    needed, most = math.prod(dims) * (_TEXT if dtype == tf.string else dtype.size), largest_tensor()
    if needed > most:
        return (
            f"has the shape {shown} and would take {needed / 2**30:.4g} GiB, and a tensor may take "
            f"{most / 2**30:.1f} (a quarter of this machine's memory)"
        )
    if tensor.tensor_content and len(tensor.tensor_content) != needed:
        return f"has the shape {shown} of {needed} bytes, and {len(tensor.tensor_content)} bytes"
    return ""
