"""What a graph needs before it can be called, besides its inputs: tables that are filled once.

A loader of SavedModels runs one node of the graph itself, in every TensorFlow and in TensorFlow
Serving. Anything else that keeps a state between calls (variables, iterators, queues) has no state
in a graph from a file, so it is refused.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from graphcore.errors import GraphError
from tfgraph.graphs.order import full, maker
from tfgraph.graphs.reachable import called, reached
from tfgraph.savedmodels.reading import Signature

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

_MAIN_OP = "saved_model_main_op"
"""The collection in which every loader since TensorFlow 1.0 finds the nodes to run."""

_VARIABLES = ("Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable")
_FILLING = ("InitializeTable", "LookupTableImport")
_WITHIN_A_RUN = ("TensorArray", "Stack")
_PYTHON = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
_FED = ("Placeholder", *_PYTHON)


def initialisers(
    graph_def: "GraphDef", signatures: Mapping[str, Signature], weights: Collection[str] = ()
) -> list[str]:
    """Return the nodes that fill the tables which the signatures need.

    Args:
        graph_def: a frozen graph.
        signatures: the signatures to call, by name.
        weights: placeholders that represent constants.

    Raises:
        GraphError: a signature leaves out an input that it needs, or needs something that a file
            cannot hold. The message names the node, and what to do.
    """
    nodes = {node.name: node for node in graph_def.node if node.name not in weights}
    functions = {each.signature.name: each for each in graph_def.library.function}
    found: dict[str, None] = {}
    for name, signature in signatures.items():
        given = {full(tensor) for tensor in signature.inputs.values()}
        kept = [maker(tensor) for tensor in signature.outputs.values()]
        for node in reached(nodes, signature.outputs.values(), given):
            _check_fed(node, nodes, name)
            for inner in (node, *called(node, functions)):
                if "HashTable" in inner.op and _keeps_state(inner.op):
                    found |= dict.fromkeys(_filling(inner, nodes, kept))
                elif reason := _refusal(inner, node, nodes, kept):
                    raise GraphError(reason)
    return list(found)


def run_first(meta_graph: "MetaGraphDef", names: Collection[str]) -> None:
    """Make every loader of the SavedModel run these nodes once."""
    if not names:
        return
    taken, name = {node.name for node in meta_graph.graph_def.node}, "initialise_tables"
    while name in taken:
        name += "_"
    meta_graph.graph_def.node.add(name=name, op="NoOp", input=[f"^{each}" for each in names])
    meta_graph.collection_def[_MAIN_OP].node_list.value.append(name)


def _check_fed(node: "NodeDef", nodes: Mapping[str, "NodeDef"], signature: str) -> None:
    from tensorflow.core.framework import types_pb2

    if node.op != "Placeholder":
        return
    if node.attr["dtype"].type in (types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT):
        raise GraphError(
            f"The outputs need {node.name!r}, a table or variable of the program that made the "
            f"graph, which no client can feed. {_cut(node, nodes)}"
        )
    raise GraphError(
        f"The signature {signature!r} leaves out {node.name!r}, which its outputs need. Add it to "
        f"its inputs: {{{node.name!r}: '{node.name}:0'}}, or give it a value, "
        f"fixed={{{node.name!r}: value}}."
    )


def _refusal(
    inner: "NodeDef", node: "NodeDef", nodes: Mapping[str, "NodeDef"], kept: list[str]
) -> str:
    """Return why a node, or one in a function that it calls, cannot run from a file, or ""."""
    if inner.op in _VARIABLES:
        return (
            f"The graph is not frozen: the outputs need the variable {inner.name!r}, whose value "
            "is not in the file. In the session that has the values, write "
            "tf.compat.v1.graph_util.convert_variables_to_constants(session, session.graph_def, "
            f"{kept}) to a file, and give that."
        )
    if inner.op in _PYTHON:
        what = "which runs Python code of the process that made the graph"
    elif _keeps_state(inner.op):
        what = "whose state is not in the file"
    else:
        return ""
    return f"The outputs need {node.name!r} ({inner.op}), {what}. {_cut(node, nodes)}"


def _filling(table: "NodeDef", nodes: Mapping[str, "NodeDef"], kept: list[str]) -> list[str]:
    """Return the nodes that fill a table from constants.

    Raises:
        GraphError: there are none, or they need something that is not in the file.
    """
    filling = [
        node
        for node in nodes.values()
        if node.op.startswith(_FILLING) and node.input and maker(node.input[0]) == table.name
    ]
    if not filling:
        raise GraphError(
            f"The table {table.name!r} has no initializer in this graph, so nobody could fill it. "
            "Freeze again and keep the initializer that tf.compat.v1.tables_initializer() made: "
            "convert_variables_to_constants(session, session.graph_def, "
            f"{[*kept, 'init_all_tables']})."
        )
    for node in filling:
        needed = [each for each in reached(nodes, node.input) if each.name != table.name]
        if "TextFile" in node.op:
            source = "a text file"
        elif not any(each.op in _FED or _keeps_state(each.op) for each in needed):
            continue
        else:
            source = "values that the program computed or received"
        raise GraphError(
            f"The table {table.name!r} is filled from {source}, which a frozen graph does not "
            "hold. Make the table from a tensor of constants and freeze again."
        )
    return [node.name for node in filling]


def _keeps_state(op: str) -> bool:
    """Whether an op's result outlives a call, according to TensorFlow's own description."""
    from tensorflow.core.framework import types_pb2
    from tensorflow.python.framework import op_def_registry

    described = op_def_registry.get(op)
    if described is None or not described.is_stateful or op.startswith(_WITHIN_A_RUN):
        return False
    return any(out.is_ref or out.type == types_pb2.DT_RESOURCE for out in described.output_arg)


def _cut(node: "NodeDef", nodes: Mapping[str, "NodeDef"]) -> str:
    """Return the advice to feed a node's result, or the values read from a handle it makes."""
    handle = node.op == "Placeholder" or _keeps_state(node.op)
    readers = [each.name for each in nodes.values() if node.name in map(maker, each.input)]
    making = readers if handle and readers else [node.name]
    read = sorted(
        {full(ref) for each in nodes.values() for ref in each.input if maker(ref) in making}
    )
    fed = [tensor for tensor in read if tensor[0] != "^"] or [f"{making[0]}:0"]
    names = ["x"] if len(fed) == 1 else [f"x{place}" for place in range(len(fed))]
    return f"Let the client give its value: inputs={dict(zip(names, fed, strict=True))}."
