"""The graphs of a model: the main one, and those inside its If, Loop and Scan nodes."""

import onnx


def graphs(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    """Return the graph and, after it, every graph inside its If, Loop and Scan nodes."""
    return [graph, *(each for node in graph.node for each in subgraphs(node))]


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the graphs inside a node, and those inside them."""
    inner = (g for a in node.attribute for g in ([a.g] if a.HasField("g") else a.graphs))
    return [each for graph in inner for each in graphs(graph)]
