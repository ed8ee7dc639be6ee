"""Which cells make up each cell of a resized axis, and with which weights.

Everything is computed in float32, as in onnxruntime. Where the sizes are known, numpy computes it
now. Elsewhere the graph does it in the same steps.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tfgraph.handlers.sizes import Size, sizes_of

Array: TypeAlias = np.ndarray | tf.Tensor
Number: TypeAlias = float | tf.Tensor


@dataclass(frozen=True)
class Axis:
    """One axis that is resized from `size` to `target` cells, with `roi` for tf_crop_and_resize."""

    axis: int
    size: Size
    target: Size
    scale: Number
    roi: tuple[Number, Number] = (0.0, 1.0)

    @property
    def known(self) -> bool:
        """Whether all sizes are known while the graph is being built."""
        numbers = (self.size, self.target, self.scale, *self.roi)
        return not any(isinstance(each, tf.Tensor) for each in numbers)


def single(value: Any) -> Any:
    """Return a value in float32."""
    return tf.cast(value, tf.float32) if isinstance(value, tf.Tensor) else np.float32(value)


def coordinates(axis: Axis, mode: str) -> Array:
    """Return for each cell of the result its coordinate in the original, as ONNX defines it."""
    size, target, scale = single(axis.size), single(axis.target), single(axis.scale)
    if axis.known:
        index: Array = np.arange(axis.target, dtype=np.float32)
    else:
        index = tf.cast(tf.range(axis.target), tf.float32)
    half = np.float32(0.5)
    if mode == "asymmetric":
        return divided(index, scale)
    if mode == "tf_half_pixel_for_nn":
        return (index + half) * (np.float32(1) / scale)  # onnxruntime rounds this one so
    if mode == "align_corners":
        # ONNX takes the length before it is rounded. Known lengths are whole, so both are equal
        # there.
        length = target if axis.known else scale * size
        return index * (size - 1) / maximum(length - 1, np.float32(1e-6))
    if mode == "tf_crop_and_resize":
        begin, end = single(axis.roi[0]), single(axis.roi[1])
        if isinstance(axis.target, int) and axis.target == 1:
            return index + half * (begin + end) * (size - 1)
        along = begin * (size - 1) + index * (end - begin) * (size - 1) / maximum(target - 1, 1)
        if isinstance(axis.target, int):
            return along
        return along + half * (end - begin) * (size - 1) * tf.cast(target <= 1, tf.float32)
    result = divided(index + half, scale) - half
    if mode == "half_pixel_symmetric":
        return result + size / 2 * (1 - target / (scale * size))
    if mode == "pytorch_half_pixel":
        if isinstance(axis.target, int):
            return result if axis.target > 1 else np.zeros_like(index) if axis.known else index * 0
        return result * tf.cast(target > 1, tf.float32)
    return result


MODES = (
    "asymmetric",
    "tf_half_pixel_for_nn",
    "align_corners",
    "tf_crop_and_resize",
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
)
"""The coordinate transformations that ONNX defines."""


def nearest(where: Array, mode: str, size: Size) -> Array:
    """Return the index of the cell nearest to each coordinate."""
    low = floor(where)
    beyond = where - low
    if mode == "round_prefer_floor":
        low = low + as_single(beyond > 0.5)
    elif mode == "round_prefer_ceil":
        low = low + as_single(beyond >= 0.5)
    elif mode == "ceil":
        low = low + as_single(beyond > 0)
    return clipped(integers(low), size)


def linear(where: Array, size: Size) -> tuple[Array, Array]:
    """Return the indices of two cells for each coordinate (m×2), and their weights."""
    where = maximum(minimum(where, single(size) - 1), 0)
    low = floor(where)
    near = integers(low)[:, None] + np.array([0, 1], np.int32)
    share = (where - low)[:, None]
    weights = share * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)
    return clipped(near, size), weights


def cubic(
    where: Array, size: Size, coefficient: float, *, exclude_outside: bool
) -> tuple[Array, Array]:
    """Return the indices of four cells for each coordinate (m×4), and their weights."""
    low = floor(where)
    steps = np.array([-1, 0, 1, 2], np.int32)
    weights = keys((where - low)[:, None] - steps.astype(np.float32), coefficient)
    return _within(integers(low)[:, None] + steps, weights, size, exclude_outside=exclude_outside)


def antialiased(
    where: Array,
    size: Size,
    scale: Number,
    coefficient: float | None,
    *,
    exclude_outside: bool,
) -> tuple[Array, Array]:
    """Return indices and weights of an antialiasing filter, which is wider for a smaller scale.

    Without a `coefficient` the filter is linear, with one it is cubic.
    """
    scale = minimum(single(scale), np.float32(1))
    width = integers(-floor(-(1 if coefficient is None else 2) / scale))
    reach: Any = tf.range if isinstance(width, tf.Tensor) else np.arange
    low, steps = floor(where), reach(1 - width, width + 1)
    away = ((where - low)[:, None] - as_single(steps)) * scale
    if coefficient is not None:
        away = keys(away, coefficient)
    weights = maximum(1 - absolute(away), 0) if coefficient is None else away
    weights = weights / total(weights)
    return _within(integers(low)[:, None] + steps, weights, size, exclude_outside=exclude_outside)


def matrix(indices: Array, weights: Array, size: Size) -> Array:
    """Return all weights as a matrix (cells of the result × cells of the original)."""
    if isinstance(indices, np.ndarray) and isinstance(size, int):
        result = np.zeros((len(indices), size), np.float32)
        np.add.at(result, (np.arange(len(indices))[:, None], indices), weights)
        return result
    places = tf.one_hot(indices, size) * tf.expand_dims(weights, 2)
    return tf.reduce_sum(places, 1)


def weighted(data: tf.Tensor, axis: Axis, indices: Array, weights: Array) -> tf.Tensor:
    """Return the weighted sums along an axis, by two gathers or by a product with a matrix."""
    rank, number = data.shape.rank, axis.axis
    if indices.shape[1] == 2:
        shape = [1] * number + [-1] + [1] * (rank - number - 1)
        low, high = (
            tf.gather(data, indices[:, side], axis=number)
            * tf.cast(reshaped(weights[:, side], shape), data.dtype)
            for side in (0, 1)
        )
        return low + high
    table = tf.cast(matrix(indices, weights, axis.size), data.dtype)
    order = [each for each in range(rank) if each != number] + [number]
    back = [order.index(each) for each in range(rank)]
    last = number == rank - 1
    moved = data if last else tf.transpose(data, order)
    shape = [sizes_of(data)[each] for each in order[:-1]]
    flat = tf.matmul(tf.reshape(moved, [-1, axis.size]), table, transpose_b=True)
    moved = tf.reshape(flat, [*shape, axis.target])
    return moved if last else tf.transpose(moved, back)


def reshaped(weight: Array, shape: list[int]) -> Array:
    """Return an array in another shape."""
    return weight.reshape(shape) if isinstance(weight, np.ndarray) else tf.reshape(weight, shape)


def keys(away: Array, a: float) -> Array:
    """Return the weight of a cell at a distance, by Keys' piecewise polynomial."""
    x = absolute(away)
    close = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    is_close, is_far = as_single(x <= 1), as_single(x < 2)
    return close * is_close + far * (is_far - is_close)


def _within(
    near: Array, weights: Array, size: Size, *, exclude_outside: bool
) -> tuple[Array, Array]:
    """Move indices into the axis. Cells outside count as the border, or get no weight."""
    if exclude_outside:
        weights = weights * as_single(near >= 0) * as_single(near < size)
        weights = weights / total(weights)
    return clipped(near, size), weights


def total(weights: Array) -> Array:
    """Return the sum of each row."""
    if isinstance(weights, tf.Tensor):
        return tf.reduce_sum(weights, 1, keepdims=True)
    return np.sum(weights, axis=1, keepdims=True)


def divided(value: Array, by: Number) -> Array:
    """Divide float32 numbers. The optimiser would use a reciprocal instead, which rounds twice."""
    if isinstance(value, np.ndarray):
        return value / by
    exact = tf.cast(value, tf.float64) / tf.cast(by, tf.float64)
    return tf.cast(exact, tf.float32)


def absolute(value: Array) -> Array:
    """Return the absolute value."""
    return tf.abs(value) if isinstance(value, tf.Tensor) else np.abs(value)


def floor(value: Array) -> Array:
    """Round down."""
    return tf.floor(value) if isinstance(value, tf.Tensor) else np.floor(value)


def integers(value: Array) -> Array:
    """Return a value in int32."""
    if isinstance(value, tf.Tensor):
        return tf.cast(value, tf.int32)
    return np.asarray(value).astype(np.int32)


def as_single(value: Array) -> Array:
    """Return a value in float32, with one for true and zero for false."""
    if isinstance(value, tf.Tensor):
        return tf.cast(value, tf.float32)
    return np.asarray(value).astype(np.float32)


def maximum(first: Any, second: Any) -> Any:
    """Return the larger of two, elementwise."""
    tensors = isinstance(first, tf.Tensor) or isinstance(second, tf.Tensor)
    return tf.maximum(first, second) if tensors else np.maximum(first, second)


def minimum(first: Any, second: Any) -> Any:
    """Return the smaller of two, elementwise."""
    tensors = isinstance(first, tf.Tensor) or isinstance(second, tf.Tensor)
    return tf.minimum(first, second) if tensors else np.minimum(first, second)


def clipped(index: Array, size: Size) -> Array:
    """Return indices clipped to an axis."""
    return maximum(minimum(index, size - 1), 0)
