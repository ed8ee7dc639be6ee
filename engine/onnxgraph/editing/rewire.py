"""Change connections in a private copy: move readers, sort nodes, remove unused parts.

The branches and bodies inside a graph may read its tensors too. They are always included.
"""

from collections.abc import Collection, Iterable

import onnx

from graphcore.errors import GraphError
from onnxgraph.model.dataflow import needed_for, reads
from onnxgraph.model.graphs import graphs
from onnxgraph.model.nodes import node_name, titled


def move_readers(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let all readers of `old` in a graph, or in the graphs inside it, read `new`.

    The graph's own outputs keep their names.
    """
    for each in graphs(graph):
        for node in each.node:
            replace_input(node, old, new)
        for value in each.output:
            if value.name == old and each is not graph:
                value.name = new


def replace_input(node: onnx.NodeProto, old: str, new: str) -> None:
    """Let a node read `new` wherever it reads `old`. Its branches are not changed."""
    for place, name in enumerate(node.input):
        if name == old:
            node.input[place] = new


def rename_output(graph: onnx.GraphProto, node: onnx.NodeProto, old: str, new: str) -> None:
    """Rename a tensor that a node writes, everywhere except in the graph's own outputs."""
    move_readers(graph, old, new)
    for place, name in enumerate(node.output):
        if name == old:
            node.output[place] = new
    keep_notes(graph, [value.name for value in graph.value_info if value.name != old])


def keep_notes(graph: onnx.GraphProto, names: Iterable[str]) -> None:
    """Remove the value infos of all other tensors."""
    names = set(names)
    for place in reversed(range(len(graph.value_info))):
        if graph.value_info[place].name not in names:
            del graph.value_info[place]


def remove_node(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """Remove a node from its graph."""
    written = list(node.output)
    places = [place for place, each in enumerate(graph.node) if list(each.output) == written]
    del graph.node[places[0]]


def sort_nodes(model: onnx.ModelProto) -> None:
    """Put the nodes of every graph into an order of computation, and move as few as possible.

    Raises:
        GraphError: a node needs its own result.
    """
    for graph in graphs(model.graph):
        order = _order(graph)
        if order != sorted(order):
            rank = {tuple(graph.node[place].output): n for n, place in enumerate(order)}
            graph.node.sort(key=lambda node, rank=rank: rank[tuple(node.output)])


def _order(graph: onnx.GraphProto) -> list[int]:
    """Return the numbers of the nodes, each after those that it reads from."""
    maker = {name: place for place, node in enumerate(graph.node) for name in node.output if name}
    needs = [[maker[name] for name in reads(node) if name in maker] for node in graph.node]
    order, done, open_ = [], set(), set()
    for start in range(len(needs)):
        waiting = [start]
        while waiting:
            place = waiting[-1]
            missing = [each for each in needs[place] if each not in done]
            if place in done or not missing:
                waiting.pop()
                open_.discard(place)
                if place not in done:
                    done.add(place)
                    order.append(place)
            elif place in open_:
                raise GraphError(
                    f"{titled(graph.node[place])} would need its own result, because it reads a "
                    "value that is computed from it. Give it a tensor that is computed earlier."
                )
            else:
                open_.add(place)
                waiting += missing[::-1]
    return order


def sweep(before: onnx.ModelProto, after: onnx.ModelProto) -> list[str]:
    """Remove the nodes and weights that an edit left without a reader, and return their names.

    Parts that no output needed before the edit stay, unless only removed nodes read them.
    """
    sort_nodes(after)
    idle, removed = _idle(before) - _freed(before, after), []
    for graph in reversed(
        graphs(after.graph)
    ):  # inner graphs first, because they may free outer tensors
        nodes, weights = _idle_parts(graph, keep=idle)
        for place in reversed(range(len(graph.node))):
            node = graph.node[place]
            if place in nodes:
                removed.append(titled(node))
                del graph.node[place]
        gone = {name for name in weights if name not in idle}
        for place in reversed(range(len(graph.sparse_initializer))):
            if graph.sparse_initializer[place].values.name in gone:
                del graph.sparse_initializer[place]
        for part in (graph.initializer, graph.input):
            for place in reversed(range(len(part))):
                if part[place].name in gone:
                    del part[place]
        removed += [f"the weight {name!r}" for name in sorted(gone)]
    return removed


def _idle(model: onnx.ModelProto) -> set[str]:
    found: set[str] = set()
    for graph in graphs(model.graph):
        nodes, weights = _idle_parts(graph)
        found |= {node_name(graph.node[place]) for place in nodes} | weights
    return found


def _freed(before: onnx.ModelProto, after: onnx.ModelProto) -> set[str]:
    """Return the names of weights, and of Constant nodes, whose readers were removed."""
    left = {node_name(node) for graph in graphs(after.graph) for node in graph.node}
    nodes = [node for graph in graphs(before.graph) for node in graph.node]
    read = {name for node in nodes if node_name(node) not in left for name in reads(node)}
    names = {weight.name for graph in graphs(before.graph) for weight in graph.initializer} & read
    constants = [node for node in nodes if node.op_type == "Constant"]
    return names | {node_name(node) for node in constants if read.intersection(node.output)}


def _idle_parts(graph: onnx.GraphProto, *, keep: Collection[str] = ()) -> tuple[set[int], set[str]]:
    """Return the numbers of the nodes, and the names of the weights, that are not needed: neither
    by an output nor by a node in `keep`.
    """
    outputs = [value.name for value in graph.output]
    places, needed = needed_for(graph, outputs, keep=keep)
    weights = {weight.name for weight in graph.initializer}
    weights |= {weight.values.name for weight in graph.sparse_initializer}
    return set(range(len(graph.node))).difference(places), weights - needed
