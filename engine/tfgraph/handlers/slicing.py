"""Ops that slice tensors and join them along their axes."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfgraph.handlers.registry import Node, constant, refusal, register
from tfgraph.handlers.sizes import (
    Size,
    all_elements,
    as_tensor,
    elements,
    size_of,
    sizes_of,
    vector,
)

FAR = 2**31 - 2
"""A limit beyond every axis. Slice limits are clipped to it, so they fit in int32.

It is not the largest int32, because with a negative step onnxruntime takes that for "to the first
element".
"""


@register("Concat")
def concat(node: Node, *parts: tf.Tensor) -> tf.Tensor:
    """Join along an axis. Known elements of sizes are packed into one vector."""
    axis = node.attrs.get("axis", 1)
    if len(parts) == 1:
        return tf.identity(parts[0])
    if parts[0].shape.rank == 1 and parts[0].dtype in (tf.int32, tf.int64):
        found = [elements(part) for part in parts]
        if None not in found:
            return vector([each for part in found for each in part or []], parts[0].dtype)
    return tf.concat(parts, axis)


@register("Split")
def split(node: Node, data: tf.Tensor, sizes: tf.Tensor | None = None) -> list[tf.Tensor]:
    """Split into given sizes, or into equal ones (the last may be smaller from opset 18)."""
    axis = node.attrs.get("axis", 0)
    count = len(node.outputs)
    given = node.attrs.get("split") if sizes is None else constant(sizes)
    if given is not None:
        return tf.split(data, [int(size) for size in given], axis)
    if sizes is not None:
        return tf.split(data, sizes, axis, num=count)
    whole = size_of(data, axis)
    if isinstance(whole, int) and whole % count == 0:
        return tf.split(data, count, axis)
    if node.since < 18 and not isinstance(whole, int):
        return tf.split(data, count, axis)
    each = (whole + count - 1) // count
    parts = [each] * (count - 1) + [whole - each * (count - 1)]
    if isinstance(parts[-1], int) and parts[-1] < 0:
        raise refusal(node, f"cuts {whole} into {count} parts of {each}, which is too much.")
    return tf.split(data, vector(parts), axis, num=count)


@register("Slice")
def slice_(
    node: Node,
    data: tf.Tensor,
    starts: tf.Tensor | None = None,
    ends: tf.Tensor | None = None,
    axes: tf.Tensor | None = None,
    steps: tf.Tensor | None = None,
) -> tf.Tensor:
    """Slice by one StridedSlice, which clips as ONNX does. Limits are inputs from opset 10."""
    if starts is None or ends is None:
        begin, end = list(node.attrs["starts"]), list(node.attrs["ends"])
        chosen = list(node.attrs.get("axes", range(len(begin))))
        return sliced(data, _limits(data, chosen, begin, end, [1] * len(begin)))
    known_axes = constant(axes)
    count = starts.shape[0] if known_axes is None else len(known_axes)
    if (axes is not None and known_axes is None) or count is None:
        return _sliced_anywhere(data, starts, ends, axes, steps)
    chosen = list(range(count)) if known_axes is None else [int(axis) for axis in known_axes]
    begin, end = all_elements(starts, count), all_elements(ends, count)
    stride = [1] * count if steps is None else all_elements(steps, count)
    return sliced(data, _limits(data, chosen, begin, end, stride))


Limits = dict[int, tuple[Size, Size, Size]]


def _limits(
    data: tf.Tensor,
    axes: Sequence[int],
    starts: Sequence[Size],
    ends: Sequence[Size],
    steps: Sequence[Size],
) -> Limits:
    axes = [axis % data.shape.rank for axis in axes]
    return dict(zip(axes, zip(starts, ends, steps, strict=True), strict=True))


def sliced(data: tf.Tensor, limits: Limits) -> tf.Tensor:
    """Slice the axes in `limits` (axis → start, end, step), and keep the others."""
    if data.shape.rank == 1 and all(isinstance(each, int) for each in limits.get(0, ())):
        found = elements(data)
        if found is not None and limits:
            return vector(found[slice(*limits[0])], data.dtype)
    rank = data.shape.rank
    begins: list[Size] = [0] * rank
    ends: list[Size] = [0] * rank
    strides: list[Size] = [1] * rank
    begin_mask = end_mask = 0
    for axis in range(rank):
        start, end, strides[axis] = limits.get(axis, (0, FAR, 1))
        forwards = isinstance(strides[axis], int) and strides[axis] > 0
        begins[axis], ends[axis] = _clipped(start), _clipped(end)
        if forwards and isinstance(start, int) and start == 0:
            begin_mask |= 1 << axis
        if forwards and isinstance(end, int) and end >= FAR:
            ends[axis] = 0
            end_mask |= 1 << axis
    if all(begin_mask & end_mask & (1 << axis) and strides[axis] == 1 for axis in range(rank)):
        return tf.identity(data)
    result = tf.strided_slice(
        data,
        *(vector(values) for values in (begins, ends, strides)),
        begin_mask=begin_mask,
        end_mask=end_mask,
    )
    known = data.shape.as_list()
    if any(known[axis] is not None for axis in range(rank) if axis not in limits):
        result.set_shape([None if axis in limits else known[axis] for axis in range(rank)])
    return result


def _clipped(limit: Size) -> Size:
    if isinstance(limit, int):
        return max(-FAR, min(limit, FAR))
    if limit.dtype == tf.int32:
        return limit
    return tf.cast(tf.clip_by_value(limit, -FAR, FAR), tf.int32)


def _sliced_anywhere(
    data: tf.Tensor,
    starts: tf.Tensor,
    ends: tf.Tensor,
    axes: tf.Tensor | None,
    steps: tf.Tensor | None,
) -> tf.Tensor:
    """Slice axes that are chosen while the graph runs."""
    rank = data.shape.rank
    starts, ends = tf.cast(starts, tf.int64), tf.cast(ends, tf.int64)
    axes = tf.range(tf.shape(starts)[0]) if axes is None else tf.cast(axes, tf.int32)
    steps = tf.ones_like(starts) if steps is None else tf.cast(steps, tf.int64)
    begin = spread(starts, axes, rank, 0)
    end, step = spread(ends, axes, rank, tf.int64.max), spread(steps, axes, rank, 1)
    result = tf.strided_slice(data, begin, end, step)
    result.set_shape([None] * rank)
    return result


def spread(values: tf.Tensor, axes: tf.Tensor, rank: int, default: int) -> tf.Tensor:
    """Return an int64 value for each axis, which is `default` for axes that are not named."""
    axes = tf.math.floormod(tf.cast(axes, tf.int32), rank)
    named = tf.one_hot(axes, rank, dtype=tf.int64)
    given = tf.reduce_sum(named * tf.cast(values, tf.int64)[:, None], 0)
    others = 1 - tf.reduce_sum(named, 0)
    return given + others * tf.constant(default, tf.int64) if default else given


@register("CenterCropPad")
def center_crop_pad(node: Node, data: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Crop or pad with zeros on both sides. An odd amount takes one more at the end."""
    rank = data.shape.rank
    axes = [int(axis) % rank for axis in node.attrs.get("axes", range(rank))]
    limits: Limits = {}
    pads: list[list[Size]] = [[0, 0] for _ in range(rank)]
    for axis, wanted in zip(axes, all_elements(shape, len(axes)), strict=True):
        size = size_of(data, axis, tf.int32)
        excess = size - (wanted if isinstance(wanted, int) else tf.cast(wanted, tf.int32))
        crop, lack = _not_negative(excess), _not_negative(-excess)
        limits[axis] = (crop // 2, size - (crop - crop // 2), 1)
        pads[axis] = [lack // 2, lack - lack // 2]
    cut = sliced(data, {a: each for a, each in limits.items() if each != (0, size_of(data, a), 1)})
    known = all(isinstance(each, int) for pair in pads for each in pair)
    if known and not any(map(any, pads)):
        return cut
    return tf.pad(cut, pads if known else tf.stack([vector(pair) for pair in pads]))


def _not_negative(value: Size) -> Size:
    return max(value, 0) if isinstance(value, int) else tf.maximum(value, 0)


@register("Trilu")
def trilu(node: Node, data: tf.Tensor, k: tf.Tensor | None = None) -> tf.Tensor:
    """Keep what is on and above (or below) the k-th diagonal, if possible by a band.

    A band begins at the main diagonal. Elsewhere a selection puts zeros, because subtracting a band
    would give NaN where the data has infinities.
    """
    upper = bool(node.attrs.get("upper", 1))
    known = np.zeros(1, np.int64) if k is None else constant(k)
    rows, columns = sizes_of(data)[-2:]
    if known is not None:
        width = -int(known.reshape(-1)[0]) if upper else int(known.reshape(-1)[0])
        limit = rows if upper else columns
        if width == 0 or (width > 0 and isinstance(limit, int)):
            width = min(width, limit) if width else 0
            band = [tf.constant(each, tf.int64) for each in (width, -1)]
            return tf.linalg.band_part(data, *(band if upper else reversed(band)))
    offset = (
        int(known.reshape(-1)[0]) if known is not None else tf.cast(tf.reshape(k, []), tf.int64)
    )
    distance = tf.range(as_tensor(columns, tf.int64)) - tf.range(as_tensor(rows, tf.int64))[:, None]
    kept = distance >= offset if upper else distance <= offset
    return tf.where(kept, data, tf.zeros([], data.dtype))


@register("ReverseSequence")
def reverse_sequence(node: Node, data: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Reverse the first `lengths` elements of each sequence."""
    result = tf.reverse_sequence(
        tf.cast(data, tf.uint8) if data.dtype == tf.bool else data,
        lengths,
        seq_axis=node.attrs.get("time_axis", 0),
        batch_axis=node.attrs.get("batch_axis", 1),
    )
    return tf.cast(result, tf.bool) if data.dtype == tf.bool else result
