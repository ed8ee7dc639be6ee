"""Pad, in all of its modes."""

from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tfgraph.handlers.registry import Node, constant, refusal, register
from tfgraph.handlers.sizes import Size, elements, size_of, sizes_of, vector
from tfgraph.handlers.slicing import FAR, sliced, spread
from tfgraph.handlers.strings import by_index

Amounts: TypeAlias = list[tuple[Size, Size]]
"""The amounts to add before and after each axis. Negative amounts crop."""

MODES = ("constant", "reflect", "edge", "wrap")


@register("Pad")
def pad(
    node: Node,
    data: tf.Tensor,
    pads: tf.Tensor | None = None,
    value: tf.Tensor | None = None,
    axes: tf.Tensor | None = None,
) -> tf.Tensor:
    """Pad with a constant, the edge, a reflection or the other end. Negative amounts crop."""
    mode = node.attrs.get("mode", "constant")
    if mode not in MODES:
        raise refusal(node, f"has the mode {mode!r}; there are {', '.join(MODES)}.")
    amounts = _amounts(node, data, pads, axes)
    if mode == "constant":
        fill = node.attrs.get("value", 0) if value is None else value
        return _filled(data, amounts, fill)
    known = all(isinstance(each, int) for pair in amounts for each in pair)
    if known and mode == "edge":
        return _with_edges(_cropped(data, amounts), _added(amounts))
    if known and mode == "reflect" and _is_inside(data, amounts):
        return tf.pad(data, amounts, mode="REFLECT")
    data = _cropped(data, amounts)
    for axis, (before, after) in enumerate(_added(amounts)):
        if not all(isinstance(each, int) and each == 0 for each in (before, after)):
            data = _picked(data, axis, (before, after), mode)
    return data


def _amounts(
    node: Node, data: tf.Tensor, pads: tf.Tensor | None, axes: tf.Tensor | None
) -> Amounts:
    """Return the amounts for every axis."""
    rank = data.shape.rank
    given: list[Size] | None = node.attrs.get("pads") if pads is None else elements(pads)
    known_axes = np.arange(rank) if axes is None else constant(axes)
    if known_axes is None:
        assert pads is not None and axes is not None
        count = tf.shape(axes)[0]
        begins, ends = (
            tf.cast(spread(part, axes, rank, 0), tf.int32) for part in (pads[:count], pads[count:])
        )
        return [(begins[axis], ends[axis]) for axis in range(rank)]
    chosen = [int(axis) % rank for axis in known_axes]
    count = len(chosen)
    if given is None:
        assert pads is not None
        given = [pads[index] for index in range(2 * count)]
    given = [each if isinstance(each, int) else tf.cast(each, tf.int32) for each in given]
    pairs = {axis: (given[i], given[count + i]) for i, axis in enumerate(chosen)}
    return [pairs.get(axis, (0, 0)) for axis in range(rank)]


def _cropped(data: tf.Tensor, amounts: Amounts) -> tf.Tensor:
    """Cut off where amounts are negative. Computed amounts are clipped, as they may be positive."""
    limits: dict[int, tuple[Size, Size, Size]] = {}
    for axis, (before, after) in enumerate(amounts):
        if isinstance(before, int) and isinstance(after, int):
            if min(before, after) < 0:
                limits[axis] = (max(-before, 0), after if after < 0 else FAR, 1)
            continue
        end = tf.maximum(size_of(data, axis) + tf.minimum(after, 0), 0)
        limits[axis] = (tf.maximum(-before, 0), end, 1)
    return sliced(data, limits) if limits else data


def _added(amounts: Amounts) -> list[list[Size]]:
    return [
        [max(each, 0) if isinstance(each, int) else tf.maximum(each, 0) for each in pair]
        for pair in amounts
    ]


def _filled(data: tf.Tensor, amounts: Amounts, fill: float | tf.Tensor) -> tf.Tensor:
    amounts = [_carried(data, axis, *pair) for axis, pair in enumerate(amounts)]
    data, added = _cropped(data, amounts), _added(amounts)
    if data.dtype == tf.string:
        return _filled_texts(data, added, fill)
    known = constant(fill) if isinstance(fill, tf.Tensor) else fill
    if known is not None:
        fill = data.dtype.as_numpy_dtype(np.asarray(known).item())
    else:
        fill = tf.reshape(fill, [])
    paddings = added
    if not all(isinstance(each, int) for pair in added for each in pair):
        paddings = tf.stack([vector(pair) for pair in added])
    elif not any(map(any, added)):
        return tf.identity(data)
    return tf.pad(data, paddings, constant_values=fill)


def _carried(data: tf.Tensor, axis: int, before: Size, after: Size) -> tuple[Size, Size]:
    """Where one end is cut off by more than the size, cut the rest off the other end's padding."""
    known = isinstance(before, int) and isinstance(after, int)
    if known and not min(before, after) < 0 < max(before, after):
        return before, after
    size = size_of(data, axis)
    return before - _beyond(after, size), after - _beyond(before, size)


def _beyond(amount: Size, size: Size) -> Size:
    """Return by how much an amount cuts off more than the size."""
    excess = -amount - size
    return max(excess, 0) if isinstance(excess, int) else tf.maximum(excess, 0)


def _filled_texts(data: tf.Tensor, added: list[list[Size]], fill: float | tf.Tensor) -> tf.Tensor:
    """Pad strings by their indices, where index 0 is the string to fill with."""
    text = tf.reshape(fill, [1]) if isinstance(fill, tf.Tensor) else tf.constant([""])
    paddings = tf.stack([vector(pair) for pair in added])
    both = tf.concat([text, tf.reshape(data, [-1])], 0)

    def padded(indices: tf.Tensor) -> tf.Tensor:
        return tf.pad(tf.reshape(indices[1:], vector(sizes_of(data))), paddings)

    return by_index(padded, both)


def _with_edges(data: tf.Tensor, added: list[list[Size]]) -> tf.Tensor:
    """Join slices, because the layout optimiser can move these to NHWC."""
    for axis, (before, after) in enumerate(added):
        assert isinstance(before, int) and isinstance(after, int)
        first = [sliced(data, {axis: (0, 1, 1)})] * before if before else []
        last = [sliced(data, {axis: (-1, FAR, 1)})] * after if after else []
        data = tf.concat([*first, data, *last], axis) if before or after else data
    return data


def _is_inside(data: tf.Tensor, amounts: Amounts) -> bool:
    """Whether one reflection is enough, where an unknown size is assumed to be large enough.

    If it is not, TensorFlow fails while it runs.
    """
    return all(
        isinstance(each, int) and each >= 0 and (size is None or each < size)
        for size, pair in zip(data.shape.as_list(), amounts, strict=True)
        for each in pair
    )


def _picked(data: tf.Tensor, axis: int, pair: tuple[Size, Size], mode: str) -> tf.Tensor:
    """Gather along an axis, with the indices outside mapped into it."""
    before, after = pair
    size = size_of(data, axis)
    if all(isinstance(each, int) for each in (before, after, size)):
        places = tf.constant(np.arange(-before, size + after, dtype=np.int32))
    else:
        places = tf.range(-before, size + after)
    if mode == "wrap":
        places = tf.math.floormod(places, size)
    elif mode == "edge":
        places = tf.maximum(tf.minimum(places, size - 1), 0)
    else:
        period = max(2 * size - 2, 1) if isinstance(size, int) else tf.maximum(2 * size - 2, 1)
        places = tf.math.floormod(places, period)
        places = tf.minimum(places, period - places)
    return tf.gather(data, places, axis=axis)
