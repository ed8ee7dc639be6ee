"""Rename tensors and nodes, everywhere they are mentioned."""

from collections.abc import Collection, Iterable, Mapping

import onnx

from graphcore.errors import GraphError, unknown_name
from onnxgraph.editing.result import Edited, copied, edited
from onnxgraph.model.entry_check import checked
from onnxgraph.model.graphs import graphs
from onnxgraph.model.nodes import locate, node_name, op_name


@checked
def rename(model: onnx.ModelProto, names: Mapping[str, str]) -> Edited:
    """Return the model with other names for some tensors: inputs, outputs, weights and inner ones.

    Tensors of branches and bodies can be renamed too, in all branches that use the name. Two
    tensors may swap names. The result's `renamed` lets `proven` compare by the new names.

    Args:
        model: the model. It is not changed.
        names: old name to new name.

    Raises:
        UnknownName: there is no tensor of an old name. The message gives the closest names.
        GraphError: a new name is empty, or another tensor has it.
    """
    copy = copied(model)
    known = dict.fromkeys(name for graph in graphs(copy.graph) for name in _tensors(graph))
    for old in names:
        if old not in known:
            raise unknown_name("tensor", old, known)
    _check_free("tensor", names, known)
    rename_tensors(copy, names)
    changed = {old: new for old, new in names.items() if old != new}
    changes = [f"tensor {old!r} → {new!r}" for old, new in changed.items()]
    return edited(model, copy, changes, renamed=changed)


@checked
def rename_nodes(model: onnx.ModelProto, names: Mapping[str, str]) -> Edited:
    """Return the model with other names for some nodes.

    Args:
        model: the model. It is not changed.
        names: old name (or that of a tensor that the node writes) to new name.

    Raises:
        UnknownName: there is no such node. The message gives the closest names.
        GraphError: a new name is empty or another node has it, or an old name fits several nodes.
    """
    copy = copied(model)
    every = [node.name for graph in graphs(copy.graph) for node in graph.node if node.name]
    found = {name: locate(copy, name)[1] for name in names}
    own = {node.name: names[name] for name, node in found.items()}
    _check_free("node", {node.name or name: names[name] for name, node in found.items()}, every)
    if len(own) < len([node for node in found.values() if node.name]):
        raise GraphError("Two of the names mean the same node. Give it one new name.")
    changes = [
        f"{op_name(node)} {node_name(node)!r} → {names[name]!r}" for name, node in found.items()
    ]
    for name, node in found.items():
        node.name = names[name]
    return edited(model, copy, changes, list(names.values()))


def _check_free(kind: str, names: Mapping[str, str], everything: Collection[str]) -> None:
    taken = set(everything) - set(names)
    for old, new in names.items():
        if not new:
            raise GraphError(f"The new name of {old!r} is empty, but every {kind} needs a name.")
        if new in taken:
            raise GraphError(
                f"{old!r} cannot be renamed to {new!r}, because another {kind} has that name. "
                f"Choose another name, or rename that {kind} in the same call."
            )
        taken.add(new)


def _tensors(graph: onnx.GraphProto) -> Iterable[str]:
    names = [value.name for value in graph.input] + [tensor.name for tensor in graph.initializer]
    names += [tensor.values.name for tensor in graph.sparse_initializer]
    return names + [name for node in graph.node for name in node.output if name]


def rename_tensors(copy: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Change every mention of some tensors in a private copy.

    No name is shadowed in a branch or body, because ONNX requires unique names.
    """
    for graph in graphs(copy.graph):
        for values in (graph.input, graph.output, graph.value_info, graph.initializer):
            for value in values:
                value.name = names.get(value.name, value.name)
        for sparse in graph.sparse_initializer:
            sparse.values.name = names.get(sparse.values.name, sparse.values.name)
        for node in graph.node:
            for tensors in (node.input, node.output):
                tensors[:] = [names.get(name, name) for name in tensors]
        for note in graph.quantization_annotation:
            note.tensor_name = names.get(note.tensor_name, note.tensor_name)
