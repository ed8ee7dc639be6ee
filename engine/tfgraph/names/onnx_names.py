"""Name the nodes of a GraphDef after the ONNX tensors that they make."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tfgraph.names.naming import Names

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef


def names_after_onnx(
    nodes: Iterable[str], ends: Sequence[tuple[str, str]], inner: Mapping[str, str]
) -> dict[str, str]:
    """Return node → new name, for each node whose name changes.

    The model's inputs and outputs choose first, so they keep ONNX's names wherever these are legal.
    Then come the tensors in between, and last the nodes that ONNX does not know. So
    `/layer1/relu/Relu_output_0` has that name (made legal) in every later graph.

    Args:
        nodes: the nodes of the graph.
        ends: (node, ONNX name) of the inputs and outputs.
        inner: node → ONNX name, for other tensors.
    """
    names = Names()
    exact = [names.exact(name) for _, name in ends]
    given = {
        node: kept or names.legal(name, longest=None)
        for (node, name), kept in zip(ends, exact, strict=True)
    }
    shown = {name for _, name in ends}  # the maker of an output has its own name
    for node, name in inner.items():
        if node not in given and name not in shown:
            given[node] = names.legal(name)
    for node in nodes:
        if node not in given:
            given[node] = names.legal(node, longest=None)
    return {node: name for node, name in given.items() if node != name}


def rename(graph_def: "GraphDef", new_names: Mapping[str, str]) -> None:
    """Rename nodes, everywhere they are mentioned."""
    for node in graph_def.node:
        node.device = ""
        node.name = new_names.get(node.name, node.name)
        for index, text in enumerate(node.input):
            control = text[:1] == "^"
            new = renamed(text.lstrip("^"), new_names)
            node.input[index] = "^" + new if control else new
        if "_class" in node.attr:  # colocation also names nodes, and is not needed
            del node.attr["_class"]


def renamed(reference: str, new_names: Mapping[str, str]) -> str:
    """Return an input reference ("name", "name:1") with the new name of its node."""
    node, colon, port = reference.partition(":")
    return new_names.get(node, node) + colon + port
