"""Lists to which each step of a loop appends one tensor, written as stacked outputs of the loop."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import onnx
import tensorflow as tf

from graphcore.copies import copy_of
from tfgraph.handlers.loops import Steps

Part: TypeAlias = list[tf.Tensor] | Steps | tf.Tensor
"""Tensors of a sequence: a list, the steps of a loop, or a stack along the first axis."""


@dataclass(frozen=True)
class Stacked:
    """A sequence, in parts, whose length is known only while the graph runs.

    Its tensors have one shape, unless they are concatenated along their first axes.
    """

    parts: tuple[Part, ...]

    @property
    def stack(self) -> tf.Tensor:
        """The tensors along a new first axis."""
        stacks = [_stack(part) for part in self.parts]
        return tf.concat(stacks, 0) if len(stacks) > 1 else stacks[0]

    @property
    def length(self) -> tf.Tensor:
        """The number of tensors."""
        return tf.add_n([tf.cast(_count(part), tf.int64) for part in self.parts])

    def at(self, position: tf.Tensor) -> tf.Tensor:
        """Return the tensor at a position, where a negative one counts from the end."""
        return tf.gather(self.stack, self._from_begin(position))

    def without(self, position: tf.Tensor) -> "Stacked":
        """Return the sequence without the tensor at a position."""
        stack, place = self.stack, self._from_begin(position)
        return Stacked((stack[:place], stack[place + 1 :]))

    def followed_by(self, part: Part) -> "Stacked":
        """Return the sequence with more tensors at its end."""
        return Stacked((*self.parts, part))

    def along(self, axis: int, *, new: bool) -> tf.Tensor:
        """Return the tensors concatenated along an axis, or stacked along a new one."""
        if axis == 0 and not new:
            rows = [_rows(part) for part in self.parts]
            return tf.concat(rows, 0) if len(rows) > 1 else rows[0]
        stack = self.stack
        rank = stack.shape.rank
        axis %= rank if new else rank - 1
        order = [*range(1, axis + 1), 0, *range(axis + 1, rank)]
        moved = tf.transpose(stack, order) if axis else stack
        return moved if new else _merged(moved, axis)

    def _from_begin(self, position: tf.Tensor) -> tf.Tensor:
        place = tf.cast(tf.reshape(position, []), tf.int32)
        return tf.compat.v1.where(place < 0, place + tf.cast(self.length, tf.int32), place)


def joined(before: list[tf.Tensor] | Stacked, steps: Steps) -> Stacked:
    """Return a sequence followed by the tensors that the steps of a loop append."""
    if isinstance(before, Stacked):
        return before.followed_by(steps)
    return Stacked((before, steps) if before else (steps,))


def _stack(part: Part) -> tf.Tensor:
    if isinstance(part, Steps):
        return part.stacked()
    return tf.stack(part) if isinstance(part, list) else part


def _count(part: Part) -> tf.Tensor:
    if isinstance(part, Steps):
        return part.count
    return tf.constant(len(part)) if isinstance(part, list) else tf.shape(part)[0]


def _rows(part: Part) -> tf.Tensor:
    if isinstance(part, Steps):
        return part.concatenated()
    return tf.concat(part, 0) if isinstance(part, list) else _merged(part, 0)


def _merged(data: tf.Tensor, axis: int) -> tf.Tensor:
    """Return data with an axis and the next one merged."""
    sizes = tf.shape(data)
    merged = sizes[axis : axis + 1] * sizes[axis + 1 : axis + 2]
    result = tf.reshape(data, tf.concat([sizes[:axis], merged, sizes[axis + 2 :]], 0))
    known = data.shape.as_list()
    result.set_shape([*known[:axis], None, *known[axis + 2 :]])
    return result


def with_elements_as_outputs(body: onnx.GraphProto, places: list[int]) -> onnx.GraphProto | None:
    """Return a loop's body with the tensors that it appends to sequences as additional outputs.

    Args:
        body: the body of a Loop.
        places: the positions of the carried values that are sequences.

    Returns:
        None if the body does more with a sequence than append one tensor per step.
    """
    result = copy_of(body)
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
    """Yield every name that is read, once per use, also in the graphs inside."""
    yield from (value.name for value in graph.output)
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _read(attribute.g)
