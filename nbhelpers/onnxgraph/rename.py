"""Rename tensors: inputs, outputs and inner ones, everywhere they are mentioned."""

from collections.abc import Mapping

import onnx

from nbhelpers.errors import GraphError, unknown_name
from nbhelpers.onnxgraph.anatomy import graphs
from nbhelpers.onnxgraph.edit import finished


def rename(model: onnx.ModelProto, names: Mapping[str, str]) -> onnx.ModelProto:
    """Return a copy in which the tensors of the main graph have other names.

    Subgraphs that read such a tensor from outside are changed with it. Two tensors may swap names.

    Args:
        model: the model; it is not changed.
        names: old name to new name.

    Raises:
        UnknownName: there is no tensor of an old name; the closest are given.
        GraphError: a new name is empty, or is taken by another tensor.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    everything = [name for graph in graphs(copy.graph) for name in _names(graph)]
    known = dict.fromkeys(_names(copy.graph))
    for old in names:
        if old not in known:
            raise unknown_name("tensor", old, known)
    _check_free(names, everything)
    for graph in graphs(copy.graph):
        _apply(graph, names)
    return finished(copy)


def _check_free(names: Mapping[str, str], everything: list[str]) -> None:
    taken = set(everything) - set(names)
    for old, new in names.items():
        if not new:
            raise GraphError(f"The new name of {old!r} is empty; every tensor needs a name.")
        if new in taken:
            raise GraphError(
                f"{old!r} cannot be renamed to {new!r}: another tensor has that name. Choose "
                "another name, or rename that tensor in the same call."
            )
        taken.add(new)


def _names(graph: onnx.GraphProto) -> list[str]:
    names = [value.name for value in graph.input] + [tensor.name for tensor in graph.initializer]
    names += [tensor.values.name for tensor in graph.sparse_initializer]
    return names + [name for node in graph.node for name in node.output if name]


def _apply(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Change every mention in one graph; no name is shadowed, since ONNX wants them unique."""
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
