"""Ops that change the number of axes: Reshape, Flatten, Squeeze, Unsqueeze."""

import numpy as np
import tensorflow as tf

from tfgraph.handlers.registry import Node, constant, refusal, register
from tfgraph.handlers.shuffles import shuffled
from tfgraph.handlers.sizes import Size, elements, inferable, product, size_of, sizes_of, vector

_REDUCTIONS = {"Mean": tf.reduce_mean, "Max": tf.reduce_max, "Sum": tf.reduce_sum}


@register("Reshape")
def reshape(node: Node, data: tf.Tensor, shape: tf.Tensor | None = None) -> tf.Tensor:
    """Reshape to a constant shape where at most one size is unknown."""
    copies = not node.attrs.get("allowzero", 0)
    wanted = node.attrs.get("shape") if shape is None else elements(shape)
    if wanted is None:
        assert shape is not None
        return tf.reshape(data, _zeros_copied(data, shape) if copies else shape)
    sizes: list[Size] = list(wanted)
    if copies:
        copied = [axis for axis, size in enumerate(sizes) if isinstance(size, int) and size == 0]
        _infer_rest(data, sizes, copied)
        for axis in copied:
            sizes[axis] = size_of(data, axis)
    result = tf.reshape(data, vector(inferable(sizes)))
    return _without_ones(data, shuffled(data, result))


def _infer_rest(data: tf.Tensor, sizes: list[Size], copied: list[int]) -> None:
    """Replace a -1 by its size, in place, if all unknown sizes of the data are copied."""
    known = [size for axis, size in enumerate(data.shape.as_list()) if axis not in copied]
    others = [size for axis, size in enumerate(sizes) if axis not in copied and not _is_rest(size)]
    if len(others) + len(copied) < len(sizes) and all(
        isinstance(s, int) for s in (*known, *others)
    ):
        rest, left_over = divmod(int(np.prod(known)), max(1, int(np.prod(others))))
        if rest and not left_over:
            sizes[:] = [rest if _is_rest(size) else size for size in sizes]


def _is_rest(size: Size) -> bool:
    return isinstance(size, int) and size == -1


def _zeros_copied(data: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Replace each zero of a shape by the size of the data's axis."""
    count = shape.shape[0]
    if data.shape.rank == 0 or count == 0:
        return shape
    given = tf.cast(tf.shape(data), shape.dtype)
    length = tf.shape(shape)[0] if count is None else count
    given = tf.concat([given, tf.ones([length], shape.dtype)], 0)[:length]
    return shape + given * tf.cast(tf.equal(shape, 0), shape.dtype)


def _without_ones(data: tf.Tensor, result: tf.Tensor) -> tf.Tensor:
    """Return `result`, or the reduction alone if the reshape only drops the axes that it kept.

    Then the layout of the images need not be restored first.
    """
    reduce = _REDUCTIONS.get(data.op.type)
    if reduce is None or not data.op.get_attr("keep_dims"):
        return result
    images, axes = data.op.inputs
    axes = tf.get_static_value(axes)
    if axes is None:
        return result
    reduced = reduce(images, [int(axis) for axis in np.ravel(axes)])
    known, wanted = reduced.shape.as_list(), result.shape.as_list()
    same = len(known) == len(wanted) and known[1:] == wanted[1:]
    return reduced if same and None not in known[1:] else result


@register("Flatten")
def flatten(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Flatten to two axes, with a constant shape where all sizes but the batch are known."""
    axis = node.attrs.get("axis", 1)
    axis = axis + data.shape.rank if axis < 0 else axis
    known = data.shape.as_list()
    head, tail = (
        None if None in part else int(np.prod(part)) for part in (known[:axis], known[axis:])
    )
    if tail:
        return _without_ones(data, tf.reshape(data, [-1, tail]))
    if head:
        return tf.reshape(data, [head, -1])
    sizes = sizes_of(data)
    return tf.reshape(data, vector([product(sizes[:axis]), product(sizes[axis:])]))


@register("Squeeze")
def squeeze(node: Node, data: tf.Tensor, axes: tf.Tensor | None = None) -> tf.Tensor:
    """Remove axes, which are an attribute up to opset 12 and an input from 13."""
    given = node.attrs.get("axes") if axes is None else constant(axes)
    if given is None and axes is not None:
        marked = _marked(node, axes, data.shape.rank)
        kept = tf.boolean_mask(tf.shape(data), tf.equal(marked, 0))
        return _of_rank(tf.reshape(data, kept), data.shape.rank - axes.shape[0])
    if given is None:
        return tf.squeeze(data)
    chosen = [int(axis) for axis in given]
    if not chosen:
        return tf.identity(data)
    return _refolded(data, _without_ones(data, tf.squeeze(data, chosen)))


@register("Unsqueeze")
def unsqueeze(node: Node, data: tf.Tensor, axes: tf.Tensor | None = None) -> tf.Tensor:
    """Insert axes of size one, which are an attribute up to opset 12 and an input from 13."""
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
    """Fold a small constant integer now, because shapes are computed from these."""
    known = constant(result) if data.dtype.is_integer and data.shape.rank in (0, 1) else None
    return result if known is None else tf.constant(known)


def _marked(node: Node, axes: tf.Tensor, rank: int) -> tf.Tensor:
    """Return one for each axis that is named, zero for the others."""
    if axes.shape.rank != 1 or axes.shape[0] is None:
        raise refusal(
            node,
            "computes its axes while it runs, and even how many they are; TensorFlow needs them "
            "in the graph. Give the axes a fixed length, or make them a constant.",
        )
    named = tf.one_hot(tf.math.floormod(tf.cast(axes, tf.int32), rank), rank, dtype=tf.int32)
    return tf.reduce_sum(named, 0)


def _of_rank(tensor: tf.Tensor, rank: int) -> tf.Tensor:
    tensor.set_shape([None] * rank)
    return tensor
