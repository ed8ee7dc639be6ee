"""A model that is being given a dynamic batch: a private copy, and what is known about it.

What the rules in `batch_rules` share: constants, producers, the batch of the run as a tensor.
"""

from dataclasses import dataclass, field

import numpy as np
import onnx

from nbhelpers.onnxgraph.batch_shapes import Shapes, follow, observe
from nbhelpers.onnxgraph.edit import add_constant, constants, free_name


@dataclass
class Work:
    """A model being rewritten: a private copy, and what is known about it.

    `static` holds the shapes at the fixed batch that the file was written for (empty if it is
    dynamic).
    """

    model: onnx.ModelProto
    carriers: tuple[str, ...]
    batch: int
    static: dict[str, tuple]
    changes: list[str] = field(default_factory=list)
    outer: dict[str, int] = field(default_factory=dict)
    shapes: Shapes = field(default_factory=dict)
    _rows: str = ""
    _observed: Shapes | None = None

    def refresh(self) -> None:
        """Infer again how the dims follow the batch; what inference leaves open is observed in a
        run.
        """
        self.shapes = follow(self.model, self.carriers)
        if self.static:  # half rewritten: it may not run yet
            return
        if self._observed is None:
            made = [name for node in self.graph.node for name in node.output if name]
            dark = [name for name in made if None in self.shapes.get(name, (None,))]
            self._observed = observe(self.model, self.carriers, dark)
        self.shapes.update(self._observed)

    @property
    def graph(self) -> onnx.GraphProto:
        """The graph of the private copy."""
        return self.model.graph

    def constant(self, name: str) -> np.ndarray | None:
        """Return the value of a small constant, or None."""
        return constants(self.graph).get(name)

    def producer(self, name: str) -> onnx.NodeProto | None:
        """Return the node that computes a tensor, or None."""
        return next((node for node in self.graph.node if name in node.output), None)

    def insert(self, before: onnx.NodeProto, node: onnx.NodeProto) -> None:
        """Put a node in front of another one."""
        self.graph.node.insert(position(self.graph, before), node)

    def batch_size(self) -> str:
        """Return the name of a tensor of one int64: the batch of the run."""
        if not self._rows:
            source = self.carriers[0]
            shape, rows = (free_name(self.graph, f"{source}_{stem}") for stem in ("shape", "batch"))
            first = add_constant(self.graph, np.array([0]), stem="first_axis")
            self.graph.node.insert(0, onnx.helper.make_node("Shape", [source], [shape], name=shape))
            gather = onnx.helper.make_node("Gather", [shape, first], [rows], name=rows, axis=0)
            self.graph.node.insert(1, gather)
            self._rows = rows
        return self._rows


def position(graph: onnx.GraphProto, node: onnx.NodeProto) -> int:
    """Return the index of a node in its graph."""
    return next(number for number, each in enumerate(graph.node) if each is node or each == node)


def named(node: onnx.NodeProto) -> str:
    """Return the node in words."""
    return f"{node.op_type} {node.name or (node.output[0] if node.output else '')!r}"


def is_zero(work: Work, name: str) -> bool:
    """Whether a tensor is known to hold zeros only."""
    for tensor in work.graph.initializer:
        if tensor.name == name:
            return not onnx.numpy_helper.to_array(tensor).any()
    node = work.producer(name)
    if node is not None and node.op_type == "ConstantOfShape":
        fills = [each.t for each in node.attribute if each.name == "value"]
        return not fills or not onnx.numpy_helper.to_array(fills[0]).any()
    value = work.constant(name)
    return value is not None and not value.any()


def expand_to_batch(work: Work, node: onnx.NodeProto, name: str, rank: int, rows: int) -> None:
    """Feed the node a tensor of batch 1 repeated to the batch of the run."""
    parts = [work.batch_size()]
    for place, count in ((0, rows), (1, rank - 1 - rows)):
        if count:
            ones = add_constant(work.graph, np.ones(count, np.int64), stem=f"{name}_ones")
            parts.insert(len(parts) if place else 0, ones)
    target, wide = (free_name(work.graph, f"{name}_{stem}") for stem in ("batch_shape", "batched"))
    work.insert(node, onnx.helper.make_node("Concat", parts, [target], name=target, axis=0))
    work.insert(node, onnx.helper.make_node("Expand", [name, target], [wide], name=wide))
    node.input[:] = [wide if each == name else each for each in node.input]
    work.changes.append(f"{named(node)}: {name!r} of batch 1 → expanded to the batch")
