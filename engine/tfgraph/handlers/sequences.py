"""Sequences and optional values, which exist only while the graph is being built.

Here a sequence is a list of tensors, or Stacked. An optional value is its content, or ABSENT.
"""

import numpy as np
import tensorflow as tf

from tfgraph.handlers.loop_lists import Stacked
from tfgraph.handlers.registry import Node, constant, refusal, register
from tfgraph.obstacles import Unconvertible

ABSENT = object()
"""An optional value without content."""


@register("SequenceEmpty")
def sequence_empty(node: Node) -> list:
    """Begin an empty sequence."""
    return [[]]


@register("SequenceConstruct")
def sequence_construct(node: Node, *elements: tf.Tensor) -> list:
    """Make a sequence of tensors."""
    return [list(elements)]


@register("SequenceInsert")
def sequence_insert(
    node: Node, sequence: list | Stacked, element: tf.Tensor, position: tf.Tensor | None = None
) -> list:
    """Insert a tensor, by default at the end."""
    if isinstance(sequence, Stacked):
        if position is not None:
            raise _unknown_length(node)
        return [sequence.followed_by([element])]
    place = len(sequence) if position is None else _place(node, position, len(sequence), 1)
    return [[*sequence[:place], element, *sequence[place:]]]


@register("SequenceErase")
def sequence_erase(node: Node, sequence: list | Stacked, position: tf.Tensor | None = None) -> list:
    """Remove a tensor, by default the last one."""
    if isinstance(sequence, Stacked):
        return [sequence.without(tf.constant(-1) if position is None else position)]
    place = len(sequence) - 1 if position is None else _place(node, position, len(sequence))
    return [[*sequence[:place], *sequence[place + 1 :]]]


@register("SequenceAt")
def sequence_at(node: Node, sequence: list | Stacked, position: tf.Tensor) -> list:
    """Return a tensor, by a gather where the position is computed and the shapes are equal."""
    if isinstance(sequence, Stacked):
        return [sequence.at(position)]
    if constant(position) is None and sequence:
        shapes = {tuple(each.shape.as_list()) for each in sequence}
        if len(shapes) == 1 and None not in next(iter(shapes)):
            index = tf.reshape(position, [])
            index = tf.compat.v1.where(index < 0, index + len(sequence), index)
            return [tf.gather(tf.stack(sequence), index)]
    return [sequence[_place(node, position, len(sequence))]]


@register("SequenceLength")
def sequence_length(node: Node, sequence: list | Stacked) -> list:
    """Return the number of tensors."""
    if isinstance(sequence, Stacked):
        return [sequence.length]
    return [tf.constant(len(sequence), tf.int64)]


@register("SplitToSequence")
def split_to_sequence(node: Node, data: tf.Tensor, split: tf.Tensor | None = None) -> list:
    """Split along an axis into chunks of one size, chunks of given sizes, or single slices."""
    axis = node.attrs.get("axis", 0) % data.shape.rank
    if split is None and not node.attrs.get("keepdims", 1):
        return [tf.unstack(data, _size(node, data, axis), axis=axis)]
    if split is not None and split.shape.rank == 1 and split.shape[0] is not None:
        return [tf.split(data, split, axis=axis, num=split.shape[0])]
    chunk = 1 if split is None else constant(split)
    if chunk is None or np.ndim(chunk):
        raise refusal(
            node,
            "computes while it runs into how many parts it splits; TensorFlow must know. Give the "
            "split as a constant.",
        )
    total, chunk = _size(node, data, axis), int(chunk)
    sizes = [min(chunk, total - start) for start in range(0, total, chunk)]
    return [tf.split(data, sizes, axis=axis)]


@register("ConcatFromSequence")
def concat_from_sequence(node: Node, sequence: list | Stacked) -> list:
    """Concatenate the tensors along an axis, or stack them along a new one."""
    if isinstance(sequence, Stacked):
        return [sequence.along(node.attrs["axis"], new=bool(node.attrs.get("new_axis", 0)))]
    if not sequence:
        raise refusal(node, "concatenates an empty sequence; there is nothing to give back.")
    axis = node.attrs["axis"]
    if node.attrs.get("new_axis", 0):
        return [tf.stack(sequence, axis)]
    return [sequence[0] if len(sequence) == 1 else tf.concat(sequence, axis)]


@register("SequenceMap")
def sequence_map(node: Node, first: list | Stacked, *others: "list | Stacked | tf.Tensor") -> list:
    """Run the body for each element of the first sequence."""
    if isinstance(first, Stacked) or any(isinstance(each, Stacked) for each in others):
        raise _unknown_length(node)
    results = [
        node.tensors.run(
            node.attrs["body"],
            [each[index] if isinstance(each, list) else each for each in (first, *others)],
        )
        for index in range(len(first))
    ]
    return [[result[index] for result in results] for index in range(len(node.outputs))]


@register("Optional")
def optional(node: Node, value: "tf.Tensor | list | None" = None) -> list:
    """Make an optional value, with or without content."""
    return [ABSENT if value is None else value]


@register("OptionalHasElement")
def optional_has_element(node: Node, value: object = None) -> list:
    """Return whether an optional value has content, which is known while the graph is built."""
    return [tf.constant(value is not None and value is not ABSENT)]


@register("OptionalGetElement")
def optional_get_element(node: Node, value: "tf.Tensor | list | None" = None) -> list:
    """Return the content of an optional value."""
    if value is None or value is ABSENT:
        raise refusal(node, "takes the value out of an optional that holds none; fix the model.")
    return [value]


def _unknown_length(node: Node) -> Unconvertible:
    return refusal(
        node,
        "takes a sequence whose length is known only while the model runs; use a tensor instead, "
        "or fix the number of steps of the Loop that makes it.",
    )


def _place(node: Node, position: tf.Tensor, size: int, beyond: int = 0) -> int:
    """Return a position of a sequence from its start, which may be up to `beyond` after its end."""
    known = constant(position)
    if known is None:
        raise refusal(
            node,
            "computes a position in a sequence while it runs; TensorFlow must know it. Make it a "
            "constant, or use a tensor and Gather.",
        )
    place = int(np.reshape(known, ()))
    if not -size <= place < size + beyond:
        raise refusal(node, f"has the position {place} in a sequence of {size}; fix the model.")
    return place + size if place < 0 else place


def _size(node: Node, data: tf.Tensor, axis: int) -> int:
    if data.shape[axis] is None:
        raise refusal(
            node,
            f"splits axis {axis}, whose size is not known, into parts; TensorFlow must know their "
            "number. Fix that dim of the model's inputs with onnxgraph.fix_dims.",
        )
    return int(data.shape[axis])
