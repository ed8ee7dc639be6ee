"""Resize axes by slices, gathers or TensorFlow's own ops, where these select the same cells."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfgraph.handlers import interpolation
from tfgraph.handlers.interpolation import Array, Axis
from tfgraph.handlers.sizes import sizes_of

LONGEST = 4096
"""The size of a test axis, on which two ways to compute an index must agree."""


def nearest(data: tf.Tensor, axes: Sequence[Axis], coordinates: str, rounding: str) -> tf.Tensor:
    """Gather the nearest cells, by the cheapest op that selects the same ones."""
    indices = [_nearest_index(axis, coordinates, rounding) for axis in axes]
    if _is_repeated(axes, indices, coordinates, rounding) and _spatial(data, axes):
        return _by_image_op(data, axes, tf.raw_ops.ResizeNearestNeighbor)
    for axis, index in zip(axes, indices, strict=True):
        step = _stepped(index)
        if step is None:
            data = tf.gather(data, index, axis=axis.axis)
        else:
            data = data[(slice(None),) * axis.axis + (step,)]
    return data


def _nearest_index(axis: Axis, coordinates: str, rounding: str) -> Array:
    where = interpolation.coordinates(axis, coordinates)
    if rounding == "first":  # before opset 11: rounded down if it grows, up if it shrinks
        up = interpolation.nearest(where, "ceil", axis.size)
        down = interpolation.nearest(where, "floor", axis.size)
        if not isinstance(axis.scale, tf.Tensor):
            return up if axis.scale < 1 else down
        shrinks = tf.cast(axis.scale < 1, tf.int32)
        return down + (up - down) * shrinks
    return interpolation.nearest(where, rounding, axis.size)


def _is_repeated(
    axes: Sequence[Axis], indices: Sequence[Array], coordinates: str, rounding: str
) -> bool:
    """Whether each cell is repeated, and TensorFlow's op rounds equally in float32."""
    for axis, index in zip(axes, indices, strict=True):
        if isinstance(axis.scale, tf.Tensor) or not float(axis.scale).is_integer():
            return False
        times = int(axis.scale)
        if not axis.known:
            if isinstance(axis.roi[0], tf.Tensor) or isinstance(axis.roi[1], tf.Tensor):
                return False
            sample = Axis(axis.axis, LONGEST, LONGEST * times, axis.scale, axis.roi)
            index = _nearest_index(sample, coordinates, rounding)
        cells = np.arange(len(index))
        seen = np.floor(cells.astype(np.float32) * (np.float32(1) / np.float32(times)))
        if not (np.array_equal(index, cells // times) and np.array_equal(index, seen)):
            return False
    return bool(axes)


def _stepped(index: Array) -> slice | None:
    """Return the slice that selects the same cells, or None."""
    if isinstance(index, tf.Tensor) or len(index) == 0:
        return None
    step = int(index[1] - index[0]) if len(index) > 1 else 1
    if step < 1 or not np.array_equal(index, index[0] + step * np.arange(len(index))):
        return None
    return slice(int(index[0]), int(index[-1]) + 1, step)


def _spatial(data: tf.Tensor, axes: Sequence[Axis]) -> bool:
    """Whether the axes are those of an image."""
    numbers = {axis.axis for axis in axes}
    return data.shape.rank == 4 and bool(numbers) and (numbers <= {1, 2} or numbers <= {2, 3})


def _by_image_op(data: tf.Tensor, axes: Sequence[Axis], op: Callable, **options: bool) -> tf.Tensor:
    """Resize by an op that needs NHWC. Transpositions next to convolutions cancel each other."""
    channels_last = all(axis.axis < 3 for axis in axes) and any(axis.axis == 1 for axis in axes)
    first = 1 if channels_last else 2
    target = sizes_of(data)[first : first + 2]
    for axis in axes:
        target[axis.axis - first] = axis.target
    data = data if channels_last else tf.transpose(data, [0, 2, 3, 1])
    data = op(images=data, size=target, **options)
    return data if channels_last else tf.transpose(data, [0, 3, 1, 2])


def is_bilinear(
    data: tf.Tensor, axes: Sequence[Axis], coordinates: str, *, stretched: bool
) -> bool:
    """Whether TensorFlow's op uses the same coordinates.

    `stretched` says that each scale is the ratio of the sizes, as in that op.
    """
    if not _spatial(data, axes) or data.dtype != tf.float32:
        return False
    if coordinates not in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        return False
    for axis in axes:
        if not axis.known:
            whole = not isinstance(axis.scale, tf.Tensor) and float(axis.scale).is_integer()
            by_ratio = stretched and coordinates == "half_pixel"
            if not (whole or by_ratio or coordinates == "align_corners"):
                return False
            continue
        again = Axis(axis.axis, axis.size, axis.target, axis.target / axis.size)
        mode = "half_pixel" if coordinates == "pytorch_half_pixel" else coordinates
        theirs = np.clip(interpolation.coordinates(again, mode), 0, axis.size - 1)
        ours = np.clip(interpolation.coordinates(axis, coordinates), 0, axis.size - 1)
        if not np.allclose(ours, theirs, rtol=0, atol=1e-6 * axis.size):
            return False
    return True


def bilinear(data: tf.Tensor, axes: Sequence[Axis], coordinates: str) -> tf.Tensor:
    """Interpolate by TensorFlow's op (see `is_bilinear`)."""
    return _by_image_op(
        data,
        axes,
        tf.raw_ops.ResizeBilinear,
        align_corners=coordinates == "align_corners",
        half_pixel_centers=coordinates in ("half_pixel", "pytorch_half_pixel"),
    )
