"""The nodes of a GraphDef: list them, resolve the names of their inputs, and sort them."""

import heapq
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from graphcore.errors import GraphError

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef


def in_order(graph_def: "GraphDef") -> "GraphDef":
    """Return the graph with every node after its inputs, and otherwise sorted by name.

    TensorFlow works with any order, but its optimiser returns another one every time.

    Raises:
        GraphError: two nodes have one name, an input is missing, or nodes form a cycle.
    """
    nodes = {node.name: node for node in graph_def.node}
    result = without_nodes(graph_def)
    result.node.extend(nodes[name] for name in ordered(graph_def))
    return result


def without_nodes(graph_def: "GraphDef") -> "GraphDef":
    """Return a graph's other contents, such as its functions and the version of its producer."""
    result = type(graph_def)()
    for field, value in graph_def.ListFields():
        if field.name != "node":
            getattr(result, field.name).CopyFrom(value)
    return result


def in_loops(graph_def: "GraphDef") -> set[str]:
    """Return the names of the nodes that run once for each iteration of some loop.

    Raises:
        GraphError: as `in_order`.
    """
    if not any(node.op == "Enter" for node in graph_def.node):
        return set()
    nodes = {node.name: node for node in graph_def.node}
    depths: dict[str, int] = {}
    for name in ordered(graph_def):
        node = nodes[name]
        depth = max((depths.get(maker(source), 0) for source in node.input), default=0)
        depths[name] = depth + {"Enter": 1, "Exit": -1}.get(node.op, 0)
    return {name for name, depth in depths.items() if depth > 0}


def ordered(graph_def: "GraphDef") -> list[str]:
    """Return the names of the nodes, each after its inputs.

    Raises:
        GraphError: as `in_order`.
    """
    sources = _sources(graph_def)
    readers: dict[str, list[str]] = {name: [] for name in sources}
    for name, makers in sources.items():
        for maker in makers:
            readers[maker].append(name)
    waiting = {name: len(makers) for name, makers in sources.items()}
    ready = [name for name, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    ordered = []
    while ready:
        name = heapq.heappop(ready)
        ordered.append(name)
        for reader in readers[name]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(ready, reader)
    if len(ordered) < len(sources):
        stuck = next(name for name, count in waiting.items() if count)
        raise GraphError(f"The graph has a cycle without a loop; the node {stuck!r} waits for it.")
    return ordered


def _sources(graph_def: "GraphDef") -> dict[str, set[str]]:
    """Return node → the nodes that it reads, without the back edges of TensorFlow 1's loops."""
    nodes = {node.name: node for node in graph_def.node}
    if len(nodes) < len(graph_def.node):
        name = Counter(node.name for node in graph_def.node).most_common(1)[0][0]
        raise GraphError(f"The graph has several nodes named {name!r}.")
    sources = {name: {maker(each) for each in node.input} for name, node in nodes.items()}
    for name, makers in sources.items():
        missing = next((maker for maker in makers if maker not in nodes), None)
        if missing is not None:
            raise GraphError(
                f"The node {name!r} reads {missing!r}, which the graph does not have; it was cut "
                "wrongly, or the file is damaged."
            )
        if nodes[name].op == "Merge":
            sources[name] = {m for m in makers if nodes[m].op != "NextIteration"}
    return sources


def every_node(graph_def: "GraphDef") -> Iterator["NodeDef"]:
    """Yield the nodes of a graph, then those inside its functions."""
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def maker(reference: str) -> str:
    """Return the node that an input reference ("name", "name:1", "^name") names."""
    return reference.partition(":")[0].removeprefix("^")


def full(reference: str) -> str:
    """Return a tensor's name with its number ("x:0" for "x"). "^x", not a tensor, is unchanged."""
    return reference if ":" in reference or reference.startswith("^") else f"{reference}:0"
