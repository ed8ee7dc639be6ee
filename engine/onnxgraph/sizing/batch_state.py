"""The state of the work on a dynamic batch, which the rules share: how tensors follow the batch."""

import numpy as np
import onnx
from onnx import numpy_helper

from onnxgraph.model import interface
from onnxgraph.sizing.batch_axes import Way
from onnxgraph.sizing.batch_shapes import OTHERS, PROBES, Rows, Shape, given, merged
from onnxgraph.sizing.watched_graph import Draft


class Work(Draft):
    """A draft followed at two other batch sizes, and at the fixed one if the model has one.

    `batch` is the size that the file was written for (0 if it is dynamic already). `axes` names the
    inputs that carry the batch, with the axis of each.
    """

    def __init__(self, model: onnx.ModelProto, way: Way) -> None:
        """Start with no nodes. `model` is a private copy."""
        batch = way.batch
        sizes = [*zip(PROBES, OTHERS, strict=True), *([(batch, OTHERS[0])] if batch else [])]
        super().__init__(model, [given(model, way.axes, *each) for each in sizes])
        self.axes, self.batch = way.axes, batch
        self.shared: list[str] = []
        """Inputs that could hold a value for each row, but that all rows would share."""
        self._undecided = set(way.undecided)
        self.outer: dict[str, int] = {}
        """Tensor → how many of the values in its batch dim vary slower than the batch."""
        self._rows = ""

    def add(self, node: onnx.NodeProto) -> list[str]:
        """Write a node, and follow its outputs."""
        if node.op_type != "Reshape":
            seen = [self.outer[name] for name in node.input if name in self.outer]
            self.outer.update((name, seen[0]) for name in node.output if seen)
        wrong = super().add(node)
        if self.batch and any(wrong) and not wrong[-1]:
            self._assume(node)
        return wrong

    def _assume(self, node: onnx.NodeProto) -> None:
        """Continue after a node that takes the fixed batch only, as if its first dim followed."""
        fixed = self.at[-1]
        for name in node.output:
            shape = fixed.shape(name) if name else None
            for sizes, batch in zip(self.at, PROBES, strict=False):
                if shape and shape[0] == self.batch:
                    sizes.assume(name, fixed.elem_type(name), (batch, *shape[1:]))

    def shape(self, name: str) -> Shape | None:
        """Return how a tensor's dims follow the batch, or None if its rank is not known."""
        return merged(self.at[0].shape(name), self.at[1].shape(name))

    def static(self, name: str) -> tuple[int | None, ...] | None:
        """Return a tensor's dims at the fixed batch, or None where other symbols decide."""
        shape, fixed = self.shape(name), self.at[-1].shape(name) if self.batch else None
        if shape is None or fixed is None or len(shape) != len(fixed):
            return fixed
        return tuple(None if dim is None else size for dim, size in zip(shape, fixed, strict=True))

    def sizes(self, name: str) -> Shape | None:
        """Return how the sizes in a tensor follow the batch, or None if they are unknown."""
        few, many = (sizes.values.get(name) for sizes in self.at[:2])
        if few is None or many is None or few.ndim != 1 or many.ndim != 1:
            return None
        return merged(tuple(few.tolist()), tuple(many.tolist()))

    def knows(self, name: str) -> bool:
        """Whether a tensor is computed from sizes and constants only, and from no data."""
        return all(name in sizes.values for sizes in self.at)

    def stuck(self, name: str, axis: int) -> bool:
        """Whether a tensor has the fixed batch on an axis and would keep it."""
        shape, fixed = self.shape(name), self.static(name)
        if not self.batch or not shape or not fixed or not -len(shape) <= axis < len(shape):
            return False
        return not any(isinstance(dim, Rows) for dim in shape) and fixed[axis] == self.batch

    def share(self, name: str) -> None:
        """Note that all rows share the same tensor."""
        self.shared += sorted(self.source_inputs(name) & self._undecided)

    def is_float(self, name: str) -> bool:
        """Whether a tensor holds floating-point numbers."""
        elem_type = self.at[0].elem_type(name)
        return bool(elem_type) and "float" in interface.dtype(elem_type)

    def value(self, name: str) -> np.ndarray | None:
        """Return the values of a constant of any size, as far as they are known."""
        value = self.constant(name)
        if value is None and name in self.weights:
            return numpy_helper.to_array(self.weights[name])
        return value

    def is_zero(self, name: str) -> bool:
        """Whether a tensor is known to hold zeros only."""
        if name in self.weights:
            return not numpy_helper.to_array(self.weights[name]).any()
        node = self.producers.get(name)
        if node is not None and node.op_type == "ConstantOfShape":
            return not any(numpy_helper.to_array(each.t).any() for each in node.attribute)
        value = self.constant(name)
        return value is not None and not value.any()

    def batch_size(self) -> str:
        """Return the name of a tensor of one int64, which holds the batch size of the run."""
        if not self._rows:
            source, axis = next(iter(self.axes.items()))
            place = self.weight(np.array([axis]), f"{source}_batch_axis")
            shape = self.make("Shape", [source], f"{source}_shape")
            self._rows = self.make("Gather", [shape, place], f"{source}_batch", axis=0)
        return self._rows
