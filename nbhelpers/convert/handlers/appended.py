"""Lists to which each step of a loop appends one tensor: they are outputs of the steps, stacked."""

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
import tensorflow as tf


@dataclass(frozen=True)
class Stacked:
    """A sequence whose length is known only while the graph runs: tensors of one shape.

    `stack` has them along its first axis.
    """

    stack: tf.Tensor

    def at(self, position: tf.Tensor) -> tf.Tensor:
        """Return the tensor at a position, which may count from the end."""
        return tf.gather(self.stack, self._from_begin(position))

    def without(self, position: tf.Tensor) -> "Stacked":
        """Return the sequence without the tensor at a position."""
        place = self._from_begin(position)
        return Stacked(tf.concat([self.stack[:place], self.stack[place + 1 :]], 0))

    def appended(self, element: tf.Tensor) -> "Stacked":
        """Return the sequence with one more tensor at its end."""
        return Stacked(tf.concat([self.stack, tf.expand_dims(element, 0)], 0))

    def along(self, axis: int, *, new: bool) -> tf.Tensor:
        """Return the tensors concatenated along an axis, or stacked along a new one."""
        rank = self.stack.shape.rank
        axis %= rank if new else rank - 1
        order = [*range(1, axis + 1), 0, *range(axis + 1, rank)]
        moved = tf.transpose(self.stack, order) if axis else self.stack
        if new:
            return moved
        sizes = tf.shape(moved)
        merged = sizes[axis : axis + 1] * sizes[axis + 1 : axis + 2]
        result = tf.reshape(moved, tf.concat([sizes[:axis], merged, sizes[axis + 2 :]], 0))
        known = self.stack.shape.as_list()[1:]
        known[axis] = None
        result.set_shape(known)
        return result

    def _from_begin(self, position: tf.Tensor) -> tf.Tensor:
        place = tf.cast(tf.reshape(position, []), tf.int32)
        return tf.compat.v1.where(place < 0, place + tf.shape(self.stack)[0], place)


def joined(before: "list[tf.Tensor] | Stacked", stack: tf.Tensor) -> Stacked:
    """Return a sequence with more tensors, which are stacked, at its end."""
    if isinstance(before, Stacked):
        return Stacked(tf.concat([before.stack, stack], 0))
    return Stacked(tf.concat([tf.stack(before), stack], 0) if before else stack)


def with_elements_as_outputs(body: onnx.GraphProto, places: list[int]) -> onnx.GraphProto | None:
    """Return a loop's body that gives what it appends to carried sequences as further outputs.

    Args:
        body: the body of a Loop.
        places: which of the carried values are sequences.

    Returns:
        None if it does anything to one of them but to append one tensor in each step.
    """
    result = onnx.GraphProto()
    result.CopyFrom(body)
    makers = {name: node for node in result.node for name in node.output}
    elements = []
    for place in places:
        inside, outside = result.input[2 + place].name, result.output[1 + place].name
        node = makers.get(outside)
        appends = node is not None and node.op_type == "SequenceInsert"
        if node is None or not appends or node.input[0] != inside or any(node.input[2:]):
            return None
        if [*_read(result)].count(inside) > 1 or [*_read(result)].count(outside) > 1:
            return None
        elements.append(node.input[1])
        result.node.remove(node)
    for place in sorted(places, reverse=True):
        del result.input[2 + place], result.output[1 + place]
    result.output.extend(onnx.ValueInfoProto(name=name) for name in elements)
    return result


def _read(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield every name that is read, as often as it is, in the graphs inside too."""
    yield from (value.name for value in graph.output)
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _read(attribute.g)
