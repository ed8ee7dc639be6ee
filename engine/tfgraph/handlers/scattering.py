"""Scatters: write updates into a tensor at given indices, or combine them with its values."""

from collections.abc import Callable

import tensorflow as tf

from tfgraph.handlers.indexing import behind_if_outside, flat_places, nd_in_range
from tfgraph.handlers.kernel_types import SIGNED, widened
from tfgraph.handlers.registry import Node, refusal, register
from tfgraph.handlers.sizes import as_tensor, inferable, product, size_of, sizes_of, vector


@register("ScatterElements", "Scatter")
def scatter_elements(
    node: Node, data: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor
) -> tf.Tensor:
    """Scatter single elements into the flattened data."""
    axis = int(node.attrs.get("axis", 0)) % data.shape.rank
    places = tf.reshape(flat_places(data, indices, axis), [-1])
    rows = tf.reshape(data, [-1])
    result = _scattered(node, rows, places, tf.reshape(updates, [-1]))
    return tf.reshape(result, vector(inferable(sizes_of(data))))


@register("ScatterND")
def scatter_nd(node: Node, data: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor) -> tf.Tensor:
    """Scatter elements or slices, with flattened rows where TensorFlow lacks the reduction."""
    depth = indices.shape[-1]
    if not depth:
        raise refusal(
            node,
            "has indices of unknown length or of none; fix their last size (onnxgraph.fix_dims for "
            "an input).",
        )
    sizes = sizes_of(data, indices.dtype)
    places = nd_in_range(indices, sizes[:depth])
    how = node.attrs.get("reduction", "none")
    if how == "none":
        return tf.tensor_scatter_nd_update(data, places, updates)
    if how == "add" and data.dtype in SIGNED:
        return tf.tensor_scatter_nd_add(data, places, updates)
    strides = [product(sizes[each + 1 : depth]) for each in range(depth)]
    flat = tf.reduce_sum(places * vector(strides, places.dtype), -1)
    changes = _rows(updates, indices.shape.rank - 1)
    result = _scattered(node, _rows(data, depth), tf.reshape(flat, [-1]), changes)
    return tf.reshape(result, vector(inferable(sizes_of(data))))


def _rows(data: tf.Tensor, depth: int) -> tf.Tensor:
    """Return the data with its first `depth` axes merged, and the other axes too."""
    sizes = sizes_of(data)
    return tf.reshape(data, vector(inferable([product(sizes[:depth]), product(sizes[depth:])])))


Segments = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]

_COMBINED: dict[str, tuple[Segments, Callable]] = {
    "add": (tf.math.unsorted_segment_sum, tf.add),
    "mul": (tf.math.unsorted_segment_prod, tf.multiply),
    "max": (tf.math.unsorted_segment_max, tf.maximum),
    "min": (tf.math.unsorted_segment_min, tf.minimum),
}


_NATIVE = {tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.int32, tf.int64}


def _scattered(node: Node, rows: tf.Tensor, places: tf.Tensor, updates: tf.Tensor) -> tf.Tensor:
    """Write or combine `updates` into the rows at `places`, which may be repeated."""
    how = node.attrs.get("reduction", "none")
    if how == "none":
        return tf.tensor_scatter_nd_update(rows, places[:, None], updates)
    if how not in _COMBINED:
        raise refusal(node, f"has the reduction {how!r}; there are {', '.join(_COMBINED)}.")
    if rows.dtype == tf.bool:
        rows, updates = tf.cast(rows, tf.int32), tf.cast(updates, tf.int32)
        return tf.cast(_combined(how, rows, places, updates), tf.bool)
    return widened(
        lambda old, new: _combined(how, old, places, new),
        _NATIVE,
        rows,
        updates,
        ordered=how in ("max", "min"),
    )


def _combined(how: str, rows: tf.Tensor, places: tf.Tensor, updates: tf.Tensor) -> tf.Tensor:
    """Reduce the updates of each row, combine, and write. Repeated rows get equal values."""
    if how == "add":
        return tf.tensor_scatter_nd_add(rows, places[:, None], updates)
    segments, combine = _COMBINED[how]
    reduced = tf.gather(segments(updates, places, size_of(rows, 0)), places)
    changed = combine(tf.gather(rows, places), reduced)
    return tf.tensor_scatter_nd_update(rows, places[:, None], changed)


@register("TensorScatter")
def tensor_scatter(
    node: Node, cache: tf.Tensor, update: tf.Tensor, starts: tf.Tensor | None = None
) -> tf.Tensor:
    """Write a sequence into a cache, for each batch from its own position on."""
    rank = cache.shape.rank
    axis = int(node.attrs.get("axis", -2)) % rank
    if axis == 0:
        raise refusal(node, "writes along the batch axis, which ONNX does not define.")
    sizes = sizes_of(cache, tf.int64)
    steps = size_of(update, axis, tf.int64)
    places = tf.range(as_tensor(steps, tf.int64))[None, :]
    if starts is not None:
        places = tf.cast(starts, tf.int64)[:, None] + places
    circular = node.attrs.get("mode", "linear") == "circular"
    if circular:
        places = tf.math.floormod(places, as_tensor(sizes[axis], tf.int64))
    # The flat rows of the cache are counted over the batch, the axes before the sequence, and it.
    prefixes = tf.range(as_tensor(product(sizes[:axis]), tf.int64)) * sizes[axis]
    prefixes = tf.reshape(prefixes, vector([sizes[0], -1, 1], tf.int64))
    along = places[:, None, :]
    flat = along + prefixes
    if not circular:
        flat = behind_if_outside(flat, along, sizes[axis], product(sizes[: axis + 1]))
    rows, changes = _rows(cache, axis + 1), _rows(update, axis + 1)
    result = tf.tensor_scatter_nd_update(rows, tf.reshape(flat, [-1, 1]), changes)
    return tf.reshape(result, vector(inferable(sizes_of(cache))))
