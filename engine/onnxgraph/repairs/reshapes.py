"""Simplify Reshapes whose target is computed from the shape of their input, as tracing writes them.

`x.view(x.size(0), -1)` becomes Shape, Gather, Unsqueeze, Concat, Reshape. All of this means only
`[0, -1]`: keep the first dim, and combine the others.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import helper

from graphcore.copies import copy_of
from onnxgraph.editing.finishing import add_constant, constants, without_dead_parts
from onnxgraph.editing.proof import same
from onnxgraph.editing.result import Edited, edited
from onnxgraph.model import interface
from onnxgraph.model.entry_check import checked
from onnxgraph.model.nodes import node_name, titled
from onnxgraph.model.value_info import inferred_graph
from onnxgraph.repairs.evidence import unchanged


@dataclass(frozen=True)
class Size:
    """The size of one axis of a tensor, as Shape gives it."""

    tensor: str
    axis: int


Parts = list["int | Size"]
"""The values of a shape: numbers, and sizes known only as an axis of a tensor."""


@checked
def fold_reshapes(model: onnx.ModelProto) -> Edited:
    """Write the target of each Reshape as a constant, if it is the same for every batch size.

    The evidence is the chain of nodes that computes it. The result is proven at two batch sizes.
    """
    after = copy_of(model)
    known = _Known(after)
    changes, names = [], []
    for node in after.graph.node:
        if node.op_type != "Reshape" or node.input[1] in known.constants:
            continue
        parts = known.parts(node.input[1])
        target = parts and known.target(node.input[0], parts)
        allowed = [a for a in node.attribute if a.name == "allowzero" and a.i]
        if target and not allowed:
            stem = f"{node_name(node)}_target"
            node.input[1] = add_constant(after.graph, np.array(target, np.int64), stem=stem)
            changes.append(f"{titled(node)}: its target is always {target}")
            names.append(node_name(node))
    if not changes:
        return unchanged(model, "no Reshape computes a target that is the same at any batch size")
    result = edited(model, without_dead_parts(after), changes, names)
    return replace(result, reports=same(model, result.model))


class _Known:
    """What is known about the shapes in a graph before it runs."""

    def __init__(self, model: onnx.ModelProto) -> None:
        inferred = inferred_graph(model)
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self.dims = {value.name: interface.dims(value) for value in values}
        self.constants = constants(model.graph)
        self._makers = {name: node for node in model.graph.node for name in node.output}

    def parts(self, name: str) -> Parts | None:
        """Return the values of a shape tensor, or None if it is computed in another way."""
        if name in self.constants:
            value = self.constants[name]
            return value.ravel().tolist() if value.dtype.kind == "i" else None
        node = self._makers.get(name)
        rule = _RULES.get(node.op_type) if node is not None else None
        return rule(self, node) if rule and node is not None else None

    def target(self, data: str, parts: Parts) -> list[int] | None:
        """Return the constant that can replace the target of a Reshape of `data`, or None."""
        target = []
        for axis, part in enumerate(parts):
            same = isinstance(part, Size) and part == Size(self._source(data), axis)
            target.append(0 if same else -1 if isinstance(part, Size) else part)
        return target if target.count(-1) <= 1 else None

    def size(self, tensor: str, axis: int) -> int | Size:
        """Return the size of an axis, which is a number if it is fixed."""
        dim = (self.dims.get(tensor) or ())[axis : axis + 1]
        return dim[0] if dim and isinstance(dim[0], int) else Size(self._source(tensor), axis)

    def _source(self, tensor: str) -> str:
        """Return the first tensor in a chain of ops that keep the shape."""
        while (node := self._makers.get(tensor)) is not None and node.op_type in _SHAPE_KEPT:
            tensor = node.input[0]
        return tensor


_SHAPE_KEPT = {"Relu", "Identity", "Dropout", "Cast", "Sigmoid", "Tanh", "BatchNormalization"}


def _shape(known: _Known, node: onnx.NodeProto) -> Parts | None:
    dims = known.dims.get(node.input[0])
    if dims is None or node.attribute:
        return None
    return [known.size(node.input[0], axis) for axis in range(len(dims))]


def _gather(known: _Known, node: onnx.NodeProto) -> Parts | None:
    parts, places = known.parts(node.input[0]), known.parts(node.input[1])
    if parts is None or places is None:
        return None
    inside = [each for each in places if isinstance(each, int) and -len(parts) <= each < len(parts)]
    return [parts[place] for place in inside] if len(inside) == len(places) else None


def _slice(known: _Known, node: onnx.NodeProto) -> Parts | None:
    given = [known.parts(name) if name else None for name in node.input]
    if len(given) < 3 or given[0] is None or len(given) > 4:
        return None
    bounds = [bound for part in given[1:3] for bound in part or () if isinstance(bound, int)]
    return given[0][bounds[0] : bounds[1]] if len(bounds) == 2 else None


def _concat(known: _Known, node: onnx.NodeProto) -> Parts | None:
    joined: Parts = []
    for name in node.input:
        parts = known.parts(name)
        if parts is None:
            return None
        joined += parts
    return joined


def _cast(known: _Known, node: onnx.NodeProto) -> Parts | None:
    to = helper.get_attribute_value(node.attribute[0])
    whole = to in (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    return known.parts(node.input[0]) if whole else None


def _same(known: _Known, node: onnx.NodeProto) -> Parts | None:
    return known.parts(node.input[0])


_RULES: dict[str, Callable[[_Known, onnx.NodeProto], Parts | None]] = {
    "Shape": _shape,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Cast": _cast,
    "Identity": _same,
    "Squeeze": _same,
    "Unsqueeze": _same,
}
