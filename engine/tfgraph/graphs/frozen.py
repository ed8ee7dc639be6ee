"""A frozen graph that keeps its weights separately, so that no step has to copy them.

So the time and memory of a step depend only on the number of nodes. The weights are put back when
the whole graph is needed.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfgraph.graphs.graphdef import op_histogram
from tfgraph.graphs.order import maker, without_nodes
from tfgraph.graphs.pb_file import write_graph
from tfgraph.graphs.reachable import reached

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

LARGE = 4096
"""Constants of at least this many bytes are weights. Smaller ones may be sizes in a shape."""

LIMIT = 2**31 - 2**20
"""The most bytes of one protobuf message, less a weight's overhead besides its values."""


@dataclass(frozen=True)
class FrozenGraph:
    """`skeleton` is the graph with a placeholder for each of the `weights` (node → array)."""

    skeleton: "GraphDef" = field(repr=False)
    weights: Mapping[str, np.ndarray] = field(repr=False)

    @property
    def graph_def(self) -> "GraphDef":
        """The graph with its weights as constants."""
        return filled(self.skeleton, self.weights)

    @property
    def size(self) -> int:
        """The size of the weights in bytes."""
        return sum(value.nbytes for value in self.weights.values())

    @property
    def too_large(self) -> bool:
        """Whether the whole graph would be larger than one protobuf message can be."""
        return self.size + self.skeleton.ByteSize() >= LIMIT

    def histogram(self) -> dict[str, int]:
        """Return op → number of nodes in the whole graph, the most frequent op first."""
        counts = Counter(op_histogram(self.skeleton))
        counts["Const"] += len(self.weights)
        counts["Placeholder"] -= len(self.weights)
        return dict(sorted((+counts).items(), key=lambda item: (-item[1], item[0])))


def split_weights(graph: "GraphDef | FrozenGraph") -> FrozenGraph:
    """Return the graph with its large constants kept separately."""
    if isinstance(graph, FrozenGraph):
        return graph
    from tensorflow.core.framework import graph_pb2
    from tensorflow.python.framework import tensor_util

    skeleton = graph_pb2.GraphDef(versions=graph.versions)
    skeleton.library.CopyFrom(graph.library)
    weights = {}
    for node in graph.node:
        constant = node.op == "Const" and not node.input  # a constant with inputs belongs to a loop
        if not constant or len(node.attr["value"].tensor.tensor_content) < LARGE:
            skeleton.node.add().CopyFrom(node)
            continue
        weights[node.name] = tensor_util.MakeNdarray(node.attr["value"].tensor)
        placeholder = skeleton.node.add(name=node.name, op="Placeholder", input=node.input)
        placeholder.attr["dtype"].CopyFrom(node.attr["dtype"])
        placeholder.attr["shape"].shape.CopyFrom(node.attr["value"].tensor.tensor_shape)
    return FrozenGraph(skeleton, weights)


def filled(skeleton: "GraphDef", weights: Mapping[str, np.ndarray]) -> "GraphDef":
    """Return the graph with constants in place of the placeholders for `weights`."""
    graph_def = without_nodes(skeleton)
    for node in skeleton.node:
        if node.name in weights:
            _fill(graph_def.node.add(), node, weights[node.name])
        else:
            graph_def.node.add().CopyFrom(node)
    return graph_def


def save(graph: FrozenGraph, path: str | Path) -> Path:
    """Write the whole graph (`.pb`) without building it in memory.

    Raises:
        GraphError: it is larger than the 2 GB that protobuf allows.
    """
    return write_graph(graph.skeleton, graph.weights, path)


def consumers(graph_def: "GraphDef", names: Collection[str]) -> dict[str, set[tuple[str, int]]]:
    """Return for each of some nodes which ops read it, and as which input."""
    found: dict[str, set[tuple[str, int]]] = {name: set() for name in names}
    for node in graph_def.node:
        for index, source in enumerate(node.input):
            name = source.partition(":")[0]
            if name in found:
                found[name].add((node.op, index))
    return found


def computed_from_constants(graph_def: "GraphDef", weights: Collection[str]) -> set[str]:
    """Return the nodes that depend on constants and weights alone. Inputs must come first."""
    from tensorflow.python.framework import op_def_registry

    found: set[str] = set()
    for node in graph_def.node:
        inputs = {maker(source) for source in node.input}
        computed = inputs and inputs <= found and not op_def_registry.get(node.op).is_stateful
        if node.op == "Const" or node.name in weights or computed:
            found.add(node.name)
    return found


def needed(graph: FrozenGraph, outputs: Iterable[str]) -> FrozenGraph:
    """Return the graph without the nodes that its outputs do not need. Inputs stay.

    Args:
        graph: a graph.
        outputs: tensors ("y:0").
    """
    nodes = graph.skeleton.node
    stay = {n.name for n in nodes if n.op == "Placeholder" and n.name not in graph.weights}
    stay |= {node.name for node in reached({node.name: node for node in nodes}, outputs)}
    skeleton = without_nodes(graph.skeleton)
    skeleton.node.extend(node for node in nodes if node.name in stay)
    return FrozenGraph(skeleton, {n: value for n, value in graph.weights.items() if n in stay})


def _fill(new: "NodeDef", placeholder: "NodeDef", value: np.ndarray) -> None:
    new.name, new.op = placeholder.name, "Const"
    new.input.extend(placeholder.input)
    new.attr["dtype"].CopyFrom(placeholder.attr["dtype"])
    tensor = new.attr["value"].tensor
    tensor.dtype = placeholder.attr["dtype"].type
    for size in value.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = value.tobytes()
