"""The hash tables of a graph, with their keys and values as constants and a node that fills them.

A lookup waits for the node that fills its table, so a session runs the graph without other steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphcore.copies import copy_of
from graphcore.errors import GraphError
from tfgraph import framework
from tfgraph.graphs.order import full, maker
from tfgraph.toonnx.name_prefix import plain

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_FINDS = ("LookupTableFindV2", "LookupTableFind")
_READS = (*_FINDS, "LookupTableSizeV2", "LookupTableSize")
_FILLS = ("InitializeTableV2", "InitializeTable", "LookupTableImportV2", "LookupTableImport")
_RESOURCE = 20
"""TensorFlow's number for the type."""


@dataclass(frozen=True)
class Table:
    """The content of a table: each key maps to the value at the same index."""

    keys: np.ndarray
    values: np.ndarray


def captured(graph_def: "GraphDef", handles: Mapping[str, Any], graph: Any) -> None:
    """Replace the placeholders of tables by the tables, in place.

    Args:
        graph_def: a frozen function's graph.
        handles: placeholder → the resource that TensorFlow holds for it.
        graph: the same graph in TensorFlow, which knows the shapes of the lookups' keys.

    Raises:
        GraphError: a resource is not a table.
    """
    nodes = {node.name: node for node in graph_def.node}
    finds = {_source(n.input[0], nodes): n for n in nodes.values() if n.op in _FINDS}
    for node in list(graph_def.node):
        if node.op != "Placeholder" or node.attr["dtype"].type != _RESOURCE:
            continue
        if node.name not in handles or node.name not in finds:
            raise GraphError(
                f"The graph holds a resource, {node.name!r}, that is no variable and no table; an "
                "ONNX model cannot hold it. Leave out the layer that uses it."
            )
        find = finds[node.name]
        _fill(graph_def, node, find, _exported(handles[node.name], find))
    _wait_for_tables(graph_def)
    for node in list(graph_def.node):
        if node.op in _FINDS:
            _state_shape(graph_def, node, graph.get_tensor_by_name(full(node.input[1])).shape)


def _state_shape(graph_def: "GraphDef", find: "NodeDef", shape: Any) -> None:
    """State the shape of a lookup's result for any batch, because TensorFlow does not infer it."""
    if not shape.rank:
        return
    name, find.name = find.name, f"{find.name}/found"
    stated = graph_def.node.add(name=name, op="EnsureShape", input=[find.name])
    stated.attr["T"].type = find.attr["Tout"].type
    stated.attr["shape"].shape.CopyFrom(shape.as_proto())
    stated.attr["shape"].shape.dim[0].size = -1


def _exported(handle: Any, find: "NodeDef") -> Table:
    """Return the content of a table in this process."""
    tf = framework.tensorflow()
    kinds = {"Tkeys": find.attr["Tin"].type, "Tvalues": find.attr["Tout"].type}
    exported = tf.raw_ops.LookupTableExportV2(table_handle=handle, **kinds)
    return Table(exported.keys.numpy(), exported.values.numpy())


def _fill(graph_def: "GraphDef", node: "NodeDef", find: "NodeDef", table: Table) -> None:
    """Turn a placeholder into a table, and add the nodes that fill it."""
    from tensorflow import make_tensor_proto

    kinds = find.attr["Tin"].type, find.attr["Tout"].type
    node.op = "HashTableV2"
    node.attr.clear()
    node.attr["key_dtype"].type, node.attr["value_dtype"].type = kinds
    node.attr["shared_name"].s = node.name.encode()
    for part, values, kind in zip(
        ("keys", "values"), (table.keys, table.values), kinds, strict=True
    ):
        constant = graph_def.node.add(name=f"{node.name}/{part}", op="Const")
        constant.attr["dtype"].type = kind
        constant.attr["value"].tensor.CopyFrom(make_tensor_proto(values, dtype=kind))
    fill = graph_def.node.add(name=f"{node.name}/fill", op="InitializeTableV2")
    fill.input[:] = [node.name, f"{node.name}/keys", f"{node.name}/values"]
    fill.attr["Tkey"].type, fill.attr["Tval"].type = kinds


def with_filled_tables(graph_def: "GraphDef") -> "GraphDef":
    """Return the graph in which every lookup waits for the node that fills its table."""
    if not any(node.op in _FILLS for node in graph_def.node):
        return graph_def
    copy = copy_of(graph_def)
    _wait_for_tables(copy)
    return copy


def _wait_for_tables(graph_def: "GraphDef") -> None:
    nodes = {node.name: node for node in graph_def.node}
    fills = {_source(n.input[0], nodes): n.name for n in nodes.values() if n.op in _FILLS}
    for node in graph_def.node:
        fill = fills.get(_source(node.input[0], nodes)) if node.op in _READS else None
        if fill and f"^{fill}" not in node.input:
            node.input.append(f"^{fill}")


def tables(graph_def: "GraphDef") -> dict[str, Table]:
    """Return the tables by node.

    Raises:
        GraphError: no constants fill one of the tables.
    """
    from tensorflow import make_ndarray

    nodes = {node.name: node for node in graph_def.node}
    found = {}
    for node in graph_def.node:
        if node.op not in _FILLS:
            continue
        sources = [nodes[_source(each, nodes)] for each in node.input[:3]]
        if all(source.op == "Const" for source in sources[1:]):
            keys, values = (make_ndarray(source.attr["value"].tensor) for source in sources[1:])
            found[sources[0].name] = Table(keys, values)
    for node in graph_def.node:
        if node.op in _READS and _source(node.input[0], nodes) not in found:
            raise GraphError(
                f"The outputs look something up in a table, at {plain(node.name)!r}, but the "
                "graph does not hold what is in it. Give the SavedModel or Keras model that it was "
                "made from."
            )
    return found


def _source(reference: str, nodes: Mapping[str, "NodeDef"]) -> str:
    """Return the node that makes a tensor, seen through Identity nodes."""
    name = maker(reference)
    while nodes[name].op == "Identity":
        name = maker(nodes[name].input[0])
    return name
