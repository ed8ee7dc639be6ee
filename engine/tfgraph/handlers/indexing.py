"""Gather elements by their indices, where negative indices count from the end.

TensorFlow's gathers fail on negative indices, so the size is added to them. Indices out of range
stay so, and fail as they do in onnxruntime.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfgraph.handlers.registry import Node, constant, refusal, register
from tfgraph.handlers.sizes import Size, as_tensor, elements, product, size_of, sizes_of, vector


@register("Gather")
def gather(node: Node, data: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Gather slices along an axis. One slice at a known index becomes a StridedSlice."""
    axis = int(node.attrs.get("axis", 0)) % data.shape.rank
    known = constant(indices)
    if known is not None and data.shape.rank == 1 and known.ndim <= 1:
        found = elements(data)
        if found is not None:
            picked = [found[int(index)] for index in np.ravel(known)]
            return vector(picked, data.dtype) if known.ndim else as_tensor(picked[0], data.dtype)
    if known is not None and known.ndim == 0:
        return data[(slice(None),) * axis + (int(known),)]
    return tf.gather(data, in_range(indices, size_of(data, axis)), axis=axis)


def in_range(indices: tf.Tensor, size: Size) -> tf.Tensor:
    """Return indices with the axis's size added to the negative ones."""
    known = constant(indices)
    if known is not None and (known.size == 0 or known.min() >= 0):
        return indices
    if known is not None and isinstance(size, int):
        return tf.constant(np.where(known < 0, known + size, known))
    if not indices.dtype.is_integer or indices.dtype not in (tf.int32, tf.int64):
        indices = tf.cast(indices, tf.int32)
    return indices + tf.cast(indices < 0, indices.dtype) * as_tensor(size, indices.dtype)


@register("GatherElements")
def gather_elements(node: Node, data: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Gather single elements from the flattened data."""
    axis = int(node.attrs.get("axis", 0)) % data.shape.rank
    places = flat_places(data, indices, axis)
    return tf.gather(tf.reshape(data, [-1]), places)


def flat_places(data: tf.Tensor, indices: tf.Tensor, axis: int) -> tf.Tensor:
    """Return the flat positions of the elements that `indices` select along an axis.

    Along every other axis an element has the position of its index.
    """
    rank = data.shape.rank
    sizes: list[Size] = sizes_of(data, tf.int64)
    strides = [product(sizes[each + 1 :]) for each in range(rank)]
    counts = sizes_of(indices, tf.int64)
    along = tf.cast(in_range(indices, size_of(data, axis)), tf.int64)
    places = along * strides[axis]
    for each in range(rank):
        if each == axis or (isinstance(counts[each], int) and counts[each] == 1):
            continue
        steps = tf.range(as_tensor(counts[each], tf.int64)) * strides[each]
        places = places + tf.reshape(steps, [-1] + [1] * (rank - each - 1))
    return behind_if_outside(places, along, sizes[axis], product(sizes))


def behind_if_outside(places: tf.Tensor, along: tf.Tensor, size: Size, count: Size) -> tf.Tensor:
    """Return flat positions, with `count` for those whose index `along` an axis is out of range.

    `size` is the size of the axis. `count` is that of the flat data, so such a position causes an
    error. Unchanged it would select another element.
    """
    known = constant(along)
    if known is not None and isinstance(size, int) and np.all((known >= 0) & (known < size)):
        return places
    within = tf.cast((along >= 0) & (along < as_tensor(size, tf.int64)), tf.int64)
    return places * within + (1 - within) * as_tensor(count, tf.int64)


@register("GatherND")
def gather_nd(node: Node, data: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Gather elements or slices. The first `batch_dims` axes of both inputs are paired."""
    batch = int(node.attrs.get("batch_dims", 0))
    depth = indices.shape[-1]
    if depth is None:
        raise refusal(
            node,
            "has indices of unknown length; fix their last size (onnxgraph.fix_dims for an input).",
        )
    sizes = sizes_of(data, indices.dtype)
    places = nd_in_range(indices, sizes[batch : batch + depth])
    if batch:
        places = tf.concat([*_batch_places(places, sizes[:batch]), places], -1)
    return tf.gather_nd(data, places)


def nd_in_range(indices: tf.Tensor, sizes: Sequence[Size]) -> tf.Tensor:
    """Do the same as `in_range`, for indices along several axes."""
    known = constant(indices)
    if known is not None and (known.size == 0 or known.min() >= 0):
        return indices
    if known is not None and all(isinstance(size, int) for size in sizes):
        return tf.constant(np.where(known < 0, known + np.array(sizes, known.dtype), known))
    return indices + tf.cast(indices < 0, indices.dtype) * vector(sizes, indices.dtype)


def _batch_places(indices: tf.Tensor, sizes: Sequence[Size]) -> list[tf.Tensor]:
    """Return for each of the first axes its own index, shaped like `indices` with depth one."""
    rank = indices.shape.rank
    nothing = tf.zeros_like(indices[..., :1])
    return [
        nothing
        + tf.reshape(tf.range(as_tensor(size, indices.dtype)), [-1] + [1] * (rank - axis - 1))
        for axis, size in enumerate(sizes)
    ]


@register("OneHot")
def one_hot(node: Node, indices: tf.Tensor, depth: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Put the second of `values` at each index along an axis, and the first one elsewhere."""
    if indices.dtype not in (tf.int32, tf.int64):
        indices = tf.cast(indices, tf.int64)
    depth = tf.cast(tf.reshape(depth, []), tf.int32)
    negative = tf.cast(tf.less(indices, 0), indices.dtype)
    places = indices + negative * tf.cast(depth, indices.dtype)
    axis = int(node.attrs.get("axis", -1))
    axis = axis + indices.shape.rank + 1 if axis < -1 else axis
    axis = -1 if axis == indices.shape.rank else axis
    known = constant(depth)
    return tf.one_hot(places, depth if known is None else int(known), values[1], values[0], axis)


@register("NonZero")
def non_zero(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Return the indices of the values that are not zero, with one row per axis."""
    flags = data if data.dtype == tf.bool else tf.cast(data, tf.bool)
    if data.shape.rank == 0:
        return tf.transpose(tf.where(tf.reshape(flags, [1]))[:, :0])
    places = tf.where(flags)
    return tf.reshape(places, [1, -1]) if data.shape.rank == 1 else tf.transpose(places)


@register("Compress")
def compress(node: Node, data: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
    """Keep the slices along an axis whose flag is set, or the elements if no axis is given."""
    places = tf.reshape(tf.where(condition), [-1])
    axis = node.attrs.get("axis")
    if axis is None:
        return tf.gather(tf.reshape(data, [-1]), places)
    return tf.gather(data, places, axis=int(axis) % data.shape.rank)
