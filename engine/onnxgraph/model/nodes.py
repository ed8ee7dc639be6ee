"""Find one node, or one tensor, by name: in the main graph or in a branch or body of any depth.

Many files leave their nodes without names, so any tensor that a node writes also names the node.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import onnx

from graphcore.errors import GraphError, unknown_name
from onnxgraph.model.domains import domain
from onnxgraph.model.graphs import graphs


def node_name(node: onnx.NodeProto) -> str:
    """Return the name of a node, or of its first output if it has none."""
    return node.name or next((name for name in node.output if name), "")


def op_name(node: onnx.NodeProto) -> str:
    """Return a node's operator, after its domain if that is not ONNX's own."""
    return ".".join(filter(None, [domain(node), node.op_type]))


def titled(node: onnx.NodeProto) -> str:
    """Return a node's title for a message, such as `Conv 'conv1'`."""
    return f"{op_name(node)} {node_name(node)!r}"


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return a node's attributes by name, text as str."""
    values = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    return {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for name, value in values.items()
    }


def nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield every node: first those of the main graph, then those of branches and bodies."""
    for graph in graphs(model.graph):
        yield from graph.node


def locate(model: onnx.ModelProto, name: str) -> tuple[onnx.GraphProto, onnx.NodeProto]:
    """Return a node and the graph that holds it.

    Args:
        model: the model. Its functions are not searched.
        name: the node's name, or that of a tensor that it writes.

    Raises:
        UnknownName: there is no such node. The message gives the closest names.
        GraphError: the name fits several nodes.
    """
    every = [(graph, node) for graph in graphs(model.graph) for node in graph.node]
    found = [pair for pair in every if name and name in (pair[1].name, *pair[1].output)]
    if not found:
        raise unknown_name("node", name, dict.fromkeys(node_name(node) for _, node in every))
    if len(found) > 1:
        meant = ", ".join(f"{op_name(node)} that writes {_writes(node)}" for _, node in found[:4])
        raise GraphError(
            f"{name!r} may mean {len(found)} nodes ({meant}). Name the tensor that the node "
            "writes, or give the nodes their own names with rename_nodes."
        )
    return found[0]


def home(model: onnx.ModelProto, tensor: str) -> tuple[onnx.GraphProto, onnx.NodeProto | None]:
    """Return the graph that a tensor belongs to, and the node that makes it.

    The node is None for inputs and initializers.

    Raises:
        UnknownName: there is no such tensor.
        GraphError: tensors of several branches have that name.
    """
    found: list[tuple[onnx.GraphProto, onnx.NodeProto | None]] = []
    for graph in graphs(model.graph):
        if tensor in given(graph):
            found.append((graph, None))
        found += [(graph, node) for node in graph.node if tensor and tensor in node.output]
    if not found:
        raise unknown_name("tensor", tensor, tensors(model))
    if len(found) > 1:
        where = ", ".join(repr(graph.name) for graph, _ in found)
        raise GraphError(
            f"{tensor!r} may mean {len(found)} tensors, in the graphs {where}. Name the node that "
            "writes the one you mean, if it has a name of its own."
        )
    return found[0]


def tensors(model: onnx.ModelProto) -> dict[str, None]:
    """Return the names of all tensors, those of branches and bodies too."""
    names: dict[str, None] = {}
    for graph in graphs(model.graph):
        names |= dict.fromkeys(given(graph))
        names |= dict.fromkeys(name for node in graph.node for name in node.output if name)
    return names


def given(graph: onnx.GraphProto) -> Iterable[str]:
    """Return the names that a graph does not compute: its inputs and initializers."""
    names = [value.name for value in graph.input] + [weight.name for weight in graph.initializer]
    return dict.fromkeys(names + [weight.values.name for weight in graph.sparse_initializer])


def _writes(node: onnx.NodeProto) -> str:
    return ", ".join(map(repr, filter(None, node.output))) or "nothing"
