"""A graph that is written again, node by node, while the sizes of its tensors are followed.

The same graph is followed at several sizes of its inputs at once. A value that differs between them
depends on those sizes, and a value that is equal does not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from graphcore.copies import copy_of
from onnxgraph.editing.finishing import without_dead_parts
from onnxgraph.model import interface
from onnxgraph.model.dataflow import reads
from onnxgraph.model.names import Names
from onnxgraph.model.nodes import node_name, titled
from onnxgraph.running.run import tensor_names
from onnxgraph.running.shape_tracker import Sizes


class Draft:
    """The nodes written so far, in order, and the known properties of each tensor."""

    def __init__(
        self, model: onnx.ModelProto, given: Sequence[Mapping[str, Sequence[int]]]
    ) -> None:
        """Start with no nodes.

        `model` is a private copy, and `given` the input shapes to follow.
        """
        self.model = model
        self.nodes: list[onnx.NodeProto] = []
        self.changes: list[str] = []
        self.changed: list[str] = []
        self.producers: dict[str, onnx.NodeProto] = {}
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self.version = interface.opset(model)
        self._source_inputs = {value.name: {value.name} for value in interface.fed(model.graph)}
        self.at = [Sizes(model, shapes) for shapes in given]
        self.names = Names([*tensor_names(model), *(node.name for node in model.graph.node)])

    def add(self, node: onnx.NodeProto) -> list[str]:
        """Write a node, and return for each size the contradiction in the node, or ""."""
        self.nodes.append(node)
        self.producers.update((name, node) for name in node.output if name)
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            self.weights[node.output[0]] = node.attribute[0].t
        if node.op_type not in ("Shape", "Size"):
            source_inputs = set().union(*(self.source_inputs(name) for name in reads(node)))
            self._source_inputs.update(dict.fromkeys(filter(None, node.output), source_inputs))
        return [sizes.follow(node) for sizes in self.at]

    def preview(self, node: onnx.NodeProto) -> None:
        """Follow a node's outputs in its present form, before a rule decides how to write it."""
        self.add(node)
        self.nodes.pop()

    def make(self, op: str, inputs: Sequence[str], stem: str, **attributes: Any) -> str:
        """Write a new node with one output, and return its name."""
        name = self.names.free(stem)
        self.add(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def weight(self, value: np.ndarray, stem: str) -> str:
        """Write a new constant, and return its name."""
        name = self.names.free(stem)
        tensor = numpy_helper.from_array(value, name)
        self.weights[name] = tensor
        self.model.graph.initializer.append(tensor)
        for sizes in self.at:
            sizes.add_weight(tensor)
        return name

    def note(self, node: onnx.NodeProto, what: str) -> None:
        """Record a change that was made to a node."""
        self.changes.append(f"{titled(node)}: {what}")
        self.changed.append(node_name(node))

    def source_inputs(self, name: str) -> set[str]:
        """Return the inputs that a tensor's values are computed from (no inputs for a constant)."""
        return self._source_inputs.get(name, set())

    def constant(self, name: str) -> np.ndarray | None:
        """Return the value of a small tensor that is the same at every size, or None."""
        values = [sizes.values[name] for sizes in self.at if name in sizes.values]
        if len(values) < len(self.at) or not all(np.array_equal(v, values[0]) for v in values):
            return None
        return values[0]

    def finish(self) -> onnx.ModelProto:
        """Return the model with the nodes written so far, without unused ones."""
        del self.model.graph.node[:]
        self.model.graph.node.extend(self.nodes)
        return without_dead_parts(self.model)


def copies(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return copies of nodes, which rules may change."""
    made = []
    for node in nodes:
        copy = copy_of(node)
        made.append(copy)
    return made
