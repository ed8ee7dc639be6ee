"""Ops that return a shape, permute axes, or repeat along them."""

import numpy as np
import tensorflow as tf

from tfgraph.graphs.layouts import TO_NCHW, to_nchw
from tfgraph.handlers.kernel_types import FLOATS, widened
from tfgraph.handlers.registry import Node, Value, refusal, register
from tfgraph.handlers.sizes import Size, all_elements, sizes_of, vector
from tfgraph.handlers.strings import by_index


@register("Transpose", as_arrays=[0])
def transpose(node: Node, data: Value) -> tf.Tensor:
    """Permute the axes. A weight is permuted now, because folding later costs much more."""
    permutation = [int(axis) for axis in node.attrs.get("perm", reversed(range(len(data.shape))))]
    if isinstance(data, np.ndarray):
        return tf.constant(np.ascontiguousarray(data.transpose(permutation)))
    if permutation == sorted(permutation):
        return tf.identity(data)
    return to_nchw(data) if permutation == TO_NCHW else tf.transpose(data, permutation)


@register("Shape")
def shape(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Return the sizes from `start` to `end`, as a constant where they are known."""
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
    """Broadcast in both directions: where the shape has a one, the data's size stays."""
    count = shape.shape[0]
    if count is None:
        raise refusal(
            node,
            "expands to a shape of unknown length; fix that length (onnxgraph.fix_dims for an "
            "input).",
        )
    rank = max(data.shape.rank, count)
    wanted: list[Size] = [1] * (rank - count) + all_elements(shape, count)
    known = [1] * (rank - data.shape.rank) + data.shape.as_list()
    pairs = list(zip(known, wanted, strict=True))
    if all(k not in (1, None) or (isinstance(w, int) and w == 1) for k, w in pairs):
        return _with_rank(data, rank)
    sizes = [1] * (rank - data.shape.rank) + sizes_of(data)
    if data.dtype == tf.string:  # no old TensorFlow broadcasts or multiplies strings
        return by_index(lambda indices: expand(node, indices, shape), data)
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
    """Return the broadcast of the data's size, which may be unknown, and the wanted one."""
    if known not in (1, None):
        return known
    if known is None and (not isinstance(wanted, int) or wanted == 1):
        return size
    return wanted


def _with_rank(data: tf.Tensor, rank: int) -> tf.Tensor:
    """Prepend axes of size one."""
    if rank == data.shape.rank:
        return tf.identity(data)
    return tf.reshape(data, vector([1] * (rank - data.shape.rank) + sizes_of(data)))


@register("Tile")
def tile(node: Node, data: tf.Tensor, repeats: tf.Tensor) -> tf.Tensor:
    """Repeat along each axis."""
    times = all_elements(repeats, data.shape.rank)
    if all(isinstance(each, int) and each == 1 for each in times):
        return tf.identity(data)
    if data.dtype == tf.string:
        return by_index(lambda indices: tf.tile(indices, vector(times)), data)
    native = FLOATS | {tf.uint8, tf.int16, tf.int32, tf.int64, tf.bool, tf.complex64, tf.complex128}
    return widened(lambda x: tf.tile(x, vector(times)), native, data)
