"""Name the nodes of a GraphDef after the ONNX tensors that they make."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbhelpers.convert.building.naming import Names

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef


def names_after_onnx(graph: Any, made: Mapping[str, str], names: Names) -> dict[str, str]:
    """Return new names for TensorFlow nodes: of the ONNX tensor that each makes, if just one.

    So `/layer1/relu/Relu_output_0` is found under that name (made legal) in every later graph.
    """
    existing = {operation.name for operation in graph.get_operations()}
    owners: dict[str, str] = {}
    for onnx_name, tensor in made.items():
        owners.setdefault(tensor.partition(":")[0], onnx_name)
    kept = names.taken.keys() & existing  # placeholders, weights, outputs
    return {
        node: names.legal(onnx_name)
        for node, onnx_name in owners.items()
        if node in existing and node not in kept
    }


def rename(graph_def: "GraphDef", new_names: Mapping[str, str]) -> None:
    """Give nodes other names, everywhere they are mentioned."""
    for node in graph_def.node:
        node.device = ""
        node.name = new_names.get(node.name, node.name)
        for index, text in enumerate(node.input):
            control = text[:1] == "^"
            new = renamed(text.lstrip("^"), new_names)
            node.input[index] = "^" + new if control else new
        if "_class" in node.attr:  # colocation: it names nodes too, and is not needed
            del node.attr["_class"]


def renamed(reference: str, new_names: Mapping[str, str]) -> str:
    """Return an input reference ("name", "name:1") with the new name of its node."""
    node, colon, port = reference.partition(":")
    return new_names.get(node, node) + colon + port
