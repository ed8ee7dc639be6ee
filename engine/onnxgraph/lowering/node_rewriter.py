"""One node that is lowered by one opset, and the nodes that replace it.

A rule reads the node through a `NodeRewriter` and emits nodes that are valid one opset lower:

    def mish(node):
        node.give("Mul", node.input(0), node.op("Tanh", node.op("Softplus", node.input(0))))
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import helper

from onnxgraph.lowering.scope import Scope
from onnxgraph.model.nodes import node_name

Operand: TypeAlias = str | float | Sequence[int] | np.ndarray
"""A tensor's name, a number of the dtype of the node's first input, int64s, or any constant."""


class NotLowered(Exception):
    """A node cannot be lowered. The message gives the reason and what would help."""


def note_for(name: str) -> str:
    """Return the description of a tensor's type in a model."""
    note = f"onnx.helper.make_tensor_value_info({name!r}, dtype, shape)"
    return f"note it with model.graph.value_info.append({note})"


@dataclass(frozen=True)
class NodeRewriter:
    """One node.

    `made` are the nodes that replace it, `notes` the remarks about it for the summary.
    """

    proto: onnx.NodeProto
    scope: Scope
    made: list[onnx.NodeProto] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The node's name, or that of its first output."""
        return node_name(self.proto) or self.proto.op_type

    def input(self, position: int) -> str:
        """Return the name of an input, or "" if it is left out."""
        return self.proto.input[position] if position < len(self.proto.input) else ""

    def output(self, position: int) -> str:
        """Return the name of an output, or "" if it is left out."""
        return self.proto.output[position] if position < len(self.proto.output) else ""

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute (text as `str`), or the default."""
        for attribute in self.proto.attribute:
            if attribute.name == name:
                value = helper.get_attribute_value(attribute)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def attributes(self, *, without: Sequence[str] = ()) -> dict[str, Any]:
        """Return the attributes, as `make_node` takes them."""
        return {
            each.name: helper.get_attribute_value(each)
            for each in self.proto.attribute
            if each.name not in without
        }

    def constant(self, position: int) -> np.ndarray | None:
        """Return the constant value of an input, or None where it depends on the model's inputs."""
        return self.scope.value(self.input(position)) if self.input(position) else None

    def known(self, position: int, what: str) -> np.ndarray:
        """Return the constant value of an input.

        Raises:
            NotLowered: the input is computed while the model runs.
        """
        value = self.constant(position)
        if value is None:
            raise NotLowered(
                f"its {what} ({self.input(position)!r}) must be constant, not computed while the "
                "model runs; fold it with onnxgraph.simplify first, and where it is computed from "
                "a symbolic size, give that one with onnxgraph.fix_dims before"
            )
        return value

    def dtype(self, position: int = 0) -> int:
        """Return the ONNX element type of an input, or 0 where it is not known."""
        return self.scope.dtype(self.input(position))

    def shape(self, position: int = 0) -> list[int | None]:
        """Return the dims of an input, with None for symbolic ones.

        Raises:
            NotLowered: the rank is not known.
        """
        shape = self.scope.shape(self.input(position))
        if shape is None:
            name = self.input(position)
            raise NotLowered(f"the rank of {name!r} is not known; {note_for(name)}")
        return shape

    def rank(self, position: int = 0) -> int:
        """Return the rank of an input, as `shape` does."""
        return len(self.shape(position))

    def size(self, axis: int, position: int = 0) -> int:
        """Return the size of one axis of an input.

        Raises:
            NotLowered: the axis is symbolic.
        """
        found = self.shape(position)[axis]
        if found is None:
            raise NotLowered(
                f"the size of axis {axis} of {self.input(position)!r} must be fixed, but is "
                "symbolic; give its symbol a size with onnxgraph.fix_dims"
            )
        return found

    def op(self, op_type: str, *inputs: Operand, **attributes: Any) -> str:
        """Emit a node with one new output, and return the name of that output."""
        return self.ops(op_type, *inputs, outputs=1, **attributes)[0]

    def ops(self, op_type: str, *inputs: Operand, outputs: int, **attributes: Any) -> list[str]:
        """Emit a node with new outputs, and return their names."""
        made = [self.scope.fresh_name(f"{self.label}/{op_type}") for _ in range(outputs)]
        self._emit(op_type, inputs, made, made[0], attributes)
        return made

    def give(
        self, op_type: str, *inputs: Operand, place: int | None = None, **attributes: Any
    ) -> None:
        """Emit a node with all outputs of the replaced one, or with the output at one position.

        The first node that has the first output takes the old name. Every other node gets a new
        name.
        """
        outputs = list(self.proto.output) if place is None else [self.output(place)]
        is_taken = any(each.name == self.proto.name for each in self.made)
        own = place in (None, 0) and not is_taken
        name = self.proto.name if own else self.scope.fresh_name(f"{self.label}/{op_type}")
        self._emit(op_type, inputs, outputs, name, attributes)

    def cast(self, data: str, dtype: int) -> str:
        """Emit a Cast and return its output."""
        return self.op("Cast", data, to=dtype)

    def dims(self, parts: Sequence[int | tuple[str, int]]) -> str:
        """Emit a shape that is right at any batch.

        Each part is a size, or (tensor, axis) to take the size from.

        Valid for opsets 9 to 27.
        """
        if all(isinstance(part, int) for part in parts):
            return self._name([part for part in parts if isinstance(part, int)])
        pieces = [
            self._name([part])
            if isinstance(part, int)
            else self.op("Gather", self.op("Shape", part[0]), [part[1]], axis=0)
            for part in parts
        ]
        return self.op("Concat", *pieces, axis=0)

    def _emit(
        self,
        op_type: str,
        inputs: Sequence[Operand],
        outputs: list[str],
        name: str,
        attributes: dict[str, Any],
    ) -> None:
        names = [self._name(each) for each in inputs]
        self.made.append(helper.make_node(op_type, names, outputs, name=name, **attributes))

    def _name(self, operand: Operand) -> str:
        if isinstance(operand, str):
            return operand
        if isinstance(operand, float):
            dtype = helper.tensor_dtype_to_np_dtype(self.dtype() or onnx.TensorProto.FLOAT)
            operand = np.array(operand, dtype)
        elif not isinstance(operand, np.ndarray):
            operand = np.array(operand, np.int64)
        return self.scope.add_constant(operand, stem=f"{self.label}/constant")
