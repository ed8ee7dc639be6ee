"""Ops that give a tensor another shape, and those that ask for its shape."""

import numpy as np
import tensorflow as tf

from nbhelpers.convert.handlers.registry import Node, Value, constant, refusal, register
from nbhelpers.convert.handlers.sizes import (
    Size,
    all_elements,
    elements,
    inferable,
    product,
    size_of,
    sizes_of,
    vector,
)
from nbhelpers.convert.handlers.widening import FLOATS, widened


@register("Reshape")
def reshape(node: Node, data: tf.Tensor, shape: tf.Tensor | None = None) -> tf.Tensor:
    """Reshape to a constant where at most one size is unknown (onnx-tf gathers them all)."""
    copies = not node.attrs.get("allowzero", 0)
    wanted = node.attrs.get("shape") if shape is None else elements(shape)
    if wanted is None:
        assert shape is not None
        return tf.reshape(data, _zeros_copied(data, shape) if copies else shape)
    sizes: list[Size] = list(wanted)
    if copies:
        for axis, size in enumerate(sizes):
            if isinstance(size, int) and size == 0:
                sizes[axis] = size_of(data, axis)
    return tf.reshape(data, vector(inferable(sizes)))


def _zeros_copied(data: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Replace each zero of a shape by the size of the data's axis."""
    count = shape.shape[0]
    if data.shape.rank == 0 or count == 0:
        return shape
    given = tf.cast(tf.shape(data), shape.dtype)
    length = tf.shape(shape)[0] if count is None else count
    given = tf.concat([given, tf.ones([length], shape.dtype)], 0)[:length]
    return shape + given * tf.cast(tf.equal(shape, 0), shape.dtype)


@register("Flatten")
def flatten(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Flatten to two axes; a constant shape where all but the batch is known."""
    axis = node.attrs.get("axis", 1)
    axis = axis + data.shape.rank if axis < 0 else axis
    known = data.shape.as_list()
    head, tail = (
        None if None in part else int(np.prod(part)) for part in (known[:axis], known[axis:])
    )
    if tail:
        return tf.reshape(data, [-1, tail])
    if head:
        return tf.reshape(data, [head, -1])
    sizes = sizes_of(data)
    return tf.reshape(data, vector([product(sizes[:axis]), product(sizes[axis:])]))


@register("Squeeze")
def squeeze(node: Node, data: tf.Tensor, axes: tf.Tensor | None = None) -> tf.Tensor:
    """Remove axes; they are an attribute up to opset 12, an input from 13."""
    given = node.attrs.get("axes") if axes is None else constant(axes)
    if given is None and axes is not None:
        marked = _marked(node, axes, data.shape.rank)
        kept = tf.boolean_mask(tf.shape(data), tf.equal(marked, 0))
        return _of_rank(tf.reshape(data, kept), data.shape.rank - axes.shape[0])
    if given is None:
        return tf.squeeze(data)
    chosen = [int(axis) for axis in given]
    return _refolded(data, tf.squeeze(data, chosen)) if chosen else tf.identity(data)


@register("Unsqueeze")
def unsqueeze(node: Node, data: tf.Tensor, axes: tf.Tensor | None = None) -> tf.Tensor:
    """Insert axes of size one; they are an attribute up to opset 12, an input from 13."""
    given = node.attrs["axes"] if axes is None else constant(axes)
    if given is None:
        assert axes is not None
        rank = data.shape.rank + (axes.shape[0] or 0)
        marked = _marked(node, axes, rank)
        places = tf.cumsum(1 - marked) - 1
        sizes = tf.concat([tf.shape(data), [1]], 0)
        last = tf.fill([rank], data.shape.rank)
        places = places * (1 - marked) + last * marked
        return _of_rank(tf.reshape(data, tf.gather(sizes, places)), rank)
    rank = data.shape.rank + len(given)
    chosen = sorted(int(axis) % rank for axis in given)
    if len(chosen) > 1 and data.shape.as_list().count(None) <= 1 and 0 not in data.shape.as_list():
        sizes = [-1 if size is None else size for size in data.shape.as_list()]
        for axis in chosen:
            sizes.insert(axis, 1)
        return _refolded(data, tf.reshape(data, sizes))
    result = data
    for axis in chosen:
        result = tf.expand_dims(result, axis)
    return _refolded(data, result)


def _refolded(data: tf.Tensor, result: tf.Tensor) -> tf.Tensor:
    """Return a constant if a small integer was one; shapes are computed from these."""
    known = constant(result) if data.dtype.is_integer and data.shape.rank in (0, 1) else None
    return result if known is None else tf.constant(known)


def _marked(node: Node, axes: tf.Tensor, rank: int) -> tf.Tensor:
    """Return one for each axis that is named, zero for the others."""
    if axes.shape.rank != 1 or axes.shape[0] is None:
        raise refusal(
            node,
            "computes its axes while it runs, and even how many they are; TensorFlow needs them "
            "in the graph. Simplify the model so that they become a constant.",
        )
    named = tf.one_hot(tf.math.floormod(tf.cast(axes, tf.int32), rank), rank, dtype=tf.int32)
    return tf.reduce_sum(named, 0)


def _of_rank(tensor: tf.Tensor, rank: int) -> tf.Tensor:
    tensor.set_shape([None] * rank)
    return tensor


@register("Transpose", as_arrays=[0])
def transpose(node: Node, data: Value) -> tf.Tensor:
    """Permute the axes; of a weight at once, since folding it later costs much more."""
    permutation = [int(axis) for axis in node.attrs.get("perm", reversed(range(len(data.shape))))]
    if isinstance(data, np.ndarray):
        return tf.constant(np.ascontiguousarray(data.transpose(permutation)))
    if permutation == sorted(permutation):
        return tf.identity(data)
    return tf.transpose(data, permutation)


@register("Shape")
def shape(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Return the sizes, from `start` to `end`: a constant where they are known."""
    rank = data.shape.rank
    begin, end, _ = slice(node.attrs.get("start", 0), node.attrs.get("end")).indices(rank)
    known = data.shape.as_list()[begin:end]
    if None not in known:
        return tf.constant(np.array(known, np.int64))
    whole = tf.shape(data, tf.int64)
    if (begin, end) == (0, rank):
        return whole
    return vector([whole[begin + i] if s is None else s for i, s in enumerate(known)], tf.int64)


@register("Size")
def size(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Return the number of elements."""
    known = data.shape.num_elements()
    return tf.size(data, tf.int64) if known is None else tf.constant(known, tf.int64)


@register("Expand")
def expand(node: Node, data: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Broadcast to a shape, in both directions: a one in it leaves the data's size."""
    count = shape.shape[0]
    if count is None:
        raise refusal(node, "expands to a shape of unknown length; fix that length in the model.")
    rank = max(data.shape.rank, count)
    wanted: list[Size] = [1] * (rank - count) + all_elements(shape, count)
    known = [1] * (rank - data.shape.rank) + data.shape.as_list()
    pairs = list(zip(known, wanted, strict=True))
    if all(k not in (1, None) or (isinstance(w, int) and w == 1) for k, w in pairs):
        return _with_rank(data, rank)
    sizes = [1] * (rank - data.shape.rank) + sizes_of(data)
    if any(k is None and not isinstance(w, int) for k, w in pairs):
        result = tf.broadcast_to(
            data, tf.broadcast_dynamic_shape(vector(sizes), vector(wanted, tf.int32))
        )
        static = [_broadcast(k, None, w) for k, w in pairs]
        result.set_shape([size if isinstance(size, int) else None for size in static])
        return result
    merged = [_broadcast(*each) for each in zip(known, sizes, wanted, strict=True)]
    return tf.broadcast_to(data, vector(merged))


def _broadcast(known: int | None, size: Size | None, wanted: Size) -> Size | None:
    """Return the size that the data's size (maybe not known) gives with the wanted one."""
    if known not in (1, None):
        return known
    if known is None and (not isinstance(wanted, int) or wanted == 1):
        return size
    return wanted


def _with_rank(data: tf.Tensor, rank: int) -> tf.Tensor:
    """Add axes of size one in front."""
    if rank == data.shape.rank:
        return tf.identity(data)
    return tf.reshape(data, vector([1] * (rank - data.shape.rank) + sizes_of(data)))


@register("Tile")
def tile(node: Node, data: tf.Tensor, repeats: tf.Tensor) -> tf.Tensor:
    """Repeat along each axis."""
    times = all_elements(repeats, data.shape.rank)
    if all(isinstance(each, int) and each == 1 for each in times):
        return tf.identity(data)
    native = FLOATS | {tf.uint8, tf.int16, tf.int32, tf.int64, tf.bool, tf.complex64, tf.complex128}
    return widened(lambda x: tf.tile(x, vector(times)), native, data)
