"""Remove nodes and rewire their readers, or replace nodes by one other node."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import onnx

from graphcore.enumeration import listed
from graphcore.errors import GraphError, unknown_name
from onnxgraph.editing.finishing import free_name
from onnxgraph.editing.insert import Operand, new_node
from onnxgraph.editing.result import Edited, copied, rewired
from onnxgraph.editing.rewire import move_readers, remove_node, rename_output, sweep
from onnxgraph.model.dataflow import reads
from onnxgraph.model.entry_check import checked
from onnxgraph.model.graphs import graphs
from onnxgraph.model.nodes import locate, node_name, titled


@checked
def remove(model: onnx.ModelProto, nodes: str | Iterable[str], *, through: str = "") -> Edited:
    """Return the model without some nodes. Readers of a node's output read its input instead.

    Weights that nothing else reads are removed too. An output of the graph keeps its name.

    Args:
        model: the model. It is not changed.
        nodes: names of nodes, or of tensors that they write, one or several.
        through: the input that replaces the output, if a node reads several tensors that are not
            constants.

    Raises:
        UnknownName: there is no such node, or `through` is not one of its inputs.
        GraphError: a node has several outputs in use, it is not clear which input replaces the
            output, or the remaining graph does not fit together. The message names the node.
    """
    copy, changes, touched = copied(model), [], []
    for name in [nodes] if isinstance(nodes, str) else list(nodes):
        graph, node = locate(copy, name)
        source = _through(copy, node, through)
        changes.append(f"{titled(node)} removed, and its readers read {source!r}")
        target, count = node.output[0], len(graph.node)
        touched += _bypass(copy, graph, node, source)
        if len(graph.node) == count:
            changes[-1] += f", and an Identity keeps the name {target!r}"
    return rewired(model, copy, changes + _swept(model, copy), touched)


@checked
def replace(
    model: onnx.ModelProto,
    nodes: str | Iterable[str],
    op: str,
    *,
    inputs: Sequence[Operand] | None = None,
    attributes: Mapping[str, Any] | None = None,
    name: str = "",
) -> Edited:
    """Return the model with one new node in the place of one or several nodes.

    It writes those tensors of the old nodes that something else reads, in their order.

    Args:
        model: the model. It is not changed.
        nodes: names of nodes of one graph, or of tensors that they write.
        op: the new operator, after its domain if it is not ONNX's own.
        inputs: its inputs, names of tensors or numpy arrays. The default is the tensors that the
            old nodes read from outside, in their order.
        attributes: the new node's attributes, typed as in `set_attributes`. None of the old are
            kept.
        name: the new node's name. The default is that of the last old one.

    Raises:
        UnknownName: there is no such node or tensor, or the operator has no such attribute.
        GraphError: the graph would not be valid. The message names the node.
    """
    copy = copied(model)
    names = [nodes] if isinstance(nodes, str) else list(nodes)
    found = [locate(copy, each) for each in names]
    if not found:
        raise GraphError("No node was named, so there is nothing to replace.")
    graph = found[0][0]
    if any(other is not graph for other, _ in found):
        raise GraphError(f"{', '.join(map(repr, names))} are in different graphs. Replace one.")
    old = [node for node in graph.node if any(node is each for _, each in found)]
    written = [each for node in old for each in node.output if each]
    outside = {value.name for value in graph.output}
    outside.update(n for node in graph.node if node not in old for n in reads(node))
    outputs = [each for each in written if each in outside]
    if not outputs:
        raise GraphError(
            f"Nothing reads what {titled(old[-1])} writes, so there is nothing to replace."
        )
    if inputs is None:
        inputs = _read_from_outside(old, written)
    label = name or old[-1].name or f"{outputs[0]}_{op.split('.')[-1]}"
    words = ", ".join(map(titled, old))
    for node in old:
        remove_node(graph, node)
    new = new_node(copy, op, inputs, outputs, attributes, label)
    graph.node.append(new)
    change = f"{words} → {titled(new)}, which reads {', '.join(map(repr, new.input)) or 'nothing'}"
    return rewired(model, copy, [change, *_swept(model, copy)], [node_name(new)])


def _read_from_outside(old: list[onnx.NodeProto], written: list[str]) -> list[str]:
    """Return what nodes read from others: a single node's inputs unchanged, otherwise each once."""
    if len(old) == 1:
        return list(old[0].input)
    return list(dict.fromkeys(n for node in old for n in node.input if n and n not in written))


def _through(copy: onnx.ModelProto, node: onnx.NodeProto, through: str) -> str:
    """Return the input that replaces a node's output."""
    sources = dict.fromkeys(name for name in node.input if name)
    if through:
        if through not in sources:
            raise unknown_name(f"input of {titled(node)}", through, sources)
        return through
    fixed = _constant_names(copy)
    moving = [name for name in sources if name not in fixed]
    if len(moving) == 1:
        return moving[0]
    if len(sources) == 1:
        return next(iter(sources))
    if not sources:
        raise GraphError(
            f"{titled(node)} reads nothing that its readers could read instead. Replace it."
        )
    raise GraphError(
        f"{titled(node)} reads {', '.join(map(repr, moving or sources))}. Say with through= which "
        "of them its readers should read."
    )


def _constant_names(copy: onnx.ModelProto) -> set[str]:
    names = {weight.name for graph in graphs(copy.graph) for weight in graph.initializer}
    for graph in graphs(copy.graph):
        names |= {weight.values.name for weight in graph.sparse_initializer}
        for node in graph.node:
            if all(name in names for name in reads(node)):
                names.update(node.output)
    return names


def _bypass(
    copy: onnx.ModelProto, graph: onnx.GraphProto, node: onnx.NodeProto, source: str
) -> list[str]:
    """Remove a node, and return the names of the nodes that this changed."""
    outputs = {value.name for value in graph.output}
    others = {n for each in graphs(graph) for one in each.node for n in one.input} | outputs
    used = [name for name in node.output if name in others]
    if any(name != node.output[0] for name in used):
        raise GraphError(
            f"{titled(node)} writes {', '.join(map(repr, used))}, and all of them are read, but "
            "only a node with one output in use can be removed. Begin after it with cut(model, "
            f"inputs={used}), or put another node there with replace."
        )
    target = node.output[0]
    remove_node(graph, node)
    readers = [node_name(each) for each in graph.node if target in reads(each)]
    move_readers(graph, target, source)
    if target not in outputs:
        return readers
    maker = next((each for each in graph.node if source in each.output), None)
    if maker is not None and source not in outputs:
        rename_output(graph, maker, source, target)
        return [node_name(maker), *readers]
    # An input, a weight, or another output: one tensor cannot have two names.
    if node.op_type == "Identity":
        raise GraphError(
            f"{titled(node)} cannot be removed, because it gives {source!r}, an input, a weight "
            f"or an output itself, the name {target!r}. Remove that output: cut(model, "
            "outputs=[…])."
        )
    label = free_name(copy.graph, f"{target}_Identity")
    graph.node.append(onnx.helper.make_node("Identity", [source], [target], name=label))
    return [label, *readers]


def _swept(model: onnx.ModelProto, copy: onnx.ModelProto) -> list[str]:
    gone = sweep(model, copy)
    return [f"no longer needed: {listed(gone, most=6)}"] if gone else []
