"""Ops that order elements: TopK, ArgMax and ArgMin, Unique."""

import tensorflow as tf

from tfgraph.handlers.loops import LONGEST_UNROLLED, while_true
from tfgraph.handlers.registry import Node, constant, register
from tfgraph.handlers.sizes import as_tensor, product, size_of, sizes_of, vector

_RANKED = {tf.float16, tf.float32, tf.float64, tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8}
"""Dtypes that every TensorFlow can order and compare. Others are mapped to wider ones in order."""


def _ordered(data: tf.Tensor) -> tf.Tensor:
    """Return numbers in the same order, in a dtype that TensorFlow can compare."""
    if data.dtype in _RANKED:
        return data
    if data.dtype == tf.bool:
        return tf.cast(data, tf.int32)
    if data.dtype == tf.bfloat16:
        return tf.cast(data, tf.float32)
    wide = tf.cast(data, tf.int64)
    return wide + tf.constant(tf.int64.min, tf.int64) if data.dtype == tf.uint64 else wide


def _reversed(data: tf.Tensor) -> tf.Tensor:
    """Return numbers in the opposite order. Integers are complemented, which cannot overflow."""
    return tf.bitwise.invert(data) if data.dtype.is_integer else -data


@register("TopK")
def top_k(node: Node, data: tf.Tensor, k: tf.Tensor | None = None) -> list[tf.Tensor]:
    """Return the k largest or smallest along an axis and their indices. First ones come first."""
    count = node.attrs["k"] if k is None else tf.cast(tf.reshape(k, []), tf.int32)
    known = count if k is None else constant(count)
    count = count if known is None else int(known)
    rank = data.shape.rank
    axis = int(node.attrs.get("axis", -1)) % rank
    order = [each for each in range(rank) if each != axis] + [axis]
    back = [order.index(each) for each in range(rank)]
    keys = _ordered(data)
    keys = keys if node.attrs.get("largest", 1) else _reversed(keys)
    keys = keys if axis == rank - 1 else tf.transpose(keys, order)
    values, places = tf.math.top_k(keys, count)
    if axis != rank - 1:
        values, places = tf.transpose(values, back), tf.transpose(places, back)
    values = values if node.attrs.get("largest", 1) else _reversed(values)
    if data.dtype == tf.uint64:
        values = values + tf.constant(tf.int64.min, tf.int64)
    values = values if values.dtype == data.dtype else tf.cast(values, data.dtype)
    return [values, tf.cast(places, tf.int64)]


@register("ArgMax", "ArgMin")
def arg_max(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Return the index of the largest (smallest) along an axis, the first or last of equal ones."""
    axis = int(node.attrs.get("axis", 0)) % data.shape.rank
    last = bool(node.attrs.get("select_last_index", 0))
    keys = _ordered(data)
    function = tf.argmax if node.op_type == "ArgMax" else tf.argmin
    places = function(tf.reverse(keys, [axis]) if last else keys, axis)
    if last:
        places = as_tensor(size_of(data, axis), tf.int64) - 1 - places
    return tf.expand_dims(places, axis) if node.attrs.get("keepdims", 1) else places


@register("Unique")
def unique(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Return distinct slices, the first index of each, each slice's group, and the counts.

    Slices are sorted by their last element, then by the one before and so on. Each sorting keeps
    equal slices in order, so each run begins with its first one. TensorFlow's own op takes only
    vectors, and in old releases it has no counts along an axis.
    """
    axis = node.attrs.get("axis")
    if axis is None:
        table, moved = tf.reshape(data, [-1, 1]), None
    else:
        axis = int(axis) % data.shape.rank
        moved = tf.transpose(data, _to_front(data.shape.rank, axis)) if axis else data
        sizes = sizes_of(moved)
        table = tf.reshape(moved, vector([sizes[0], product(sizes[1:])]))
    count = as_tensor(size_of(table, 0))
    order = _sorting(_ordered(table), count)
    rows = tf.gather(_ordered(table), order)
    fresh = tf.reduce_any(tf.not_equal(rows[1:], rows[:-1]), 1)
    fresh = tf.concat([tf.ones([tf.minimum(count, 1)], tf.bool), fresh], 0)
    starts = tf.cast(tf.reshape(tf.where(fresh), [-1]), tf.int32)
    group = tf.cumsum(tf.cast(fresh, tf.int32)) - 1
    inverse = tf.gather(group, tf.math.invert_permutation(order))
    first = tf.gather(order, starts)
    counts = tf.concat([starts[1:], [count]], 0)[: tf.size(starts)] - starts
    if not node.attrs.get("sorted", 1):
        found = _sorting(first[:, None], tf.size(first))
        first, counts = tf.gather(first, found), tf.gather(counts, found)
        inverse = tf.gather(tf.math.invert_permutation(found), inverse)
    if moved is None:
        values = tf.gather(tf.reshape(data, [-1]), first)
    else:
        values = tf.gather(data, first, axis=axis)
    return [values, *(tf.cast(each, tf.int64) for each in (first, inverse, counts))]


def _to_front(rank: int, axis: int) -> list[int]:
    return [axis] + [each for each in range(rank) if each != axis]


def _sorting(table: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Return the order that sorts the rows of a table, with the first column as the first key."""
    width = table.shape[1]
    keys = tf.transpose(_reversed(table))

    def sort(column: tf.Tensor | int, order: tf.Tensor) -> tf.Tensor:
        return tf.gather(order, tf.math.top_k(tf.gather(keys[column], order), count).indices)

    order = tf.range(count)
    if width is not None and width <= LONGEST_UNROLLED:
        for column in reversed(range(width)):
            order = sort(column, order)
        return order
    last = as_tensor(size_of(table, 1)) - 1
    (order,), _ = while_true(
        lambda step, states: step <= last,
        lambda step, states: ([sort(last - step, states[0])], []),
        [order],
        outputs=[],
    )
    return order
