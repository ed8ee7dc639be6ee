"""Pools over the spatial axes, with padding as a separate op unless TensorFlow's SAME is exact."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfgraph.handlers.registry import Node, register
from tfgraph.handlers.sizes import all_elements, sizes_of, vector
from tfgraph.handlers.windows import Window, pad, seen, windows


@register("GlobalAveragePool")
def global_average_pool(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Average over every spatial axis, keeping them with size one."""
    return [_global(data, tf.reduce_mean)]


@register("GlobalMaxPool")
def global_max_pool(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Take the largest number over every spatial axis, keeping them with size one."""
    return [_global(data, tf.reduce_max)]


@register("GlobalLpPool")
def global_lp_pool(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Take the p-norm over every spatial axis, keeping them with size one."""
    power = float(node.attrs.get("p", 2))
    return [_rooted(_global(_powered(data, power), tf.reduce_sum), power)]


@register("MaxPool")
def max_pool(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Take the largest of each window. The second output is its index in the unpadded NCHW data."""
    if node.wants(1):
        return _with_indices(node, data)
    axes = _windows(node, data)
    if _padded_as_same(node, data, axes):
        return [_pool(data, axes, "MAX", "SAME")]
    dtype = data.dtype
    if dtype in (tf.int8, tf.uint8) and _by_slices(data, axes):
        data = tf.cast(data, tf.int32)
    padded = pad(data, [(w.begin, w.end + w.extra) for w in axes], _lowest(data.dtype))
    return [tf.cast(_pool(padded, axes, "MAX", "VALID"), dtype)]


@register("AveragePool")
def average_pool(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Average each window. At the border, divide by the number of cells that count."""
    axes = _windows(node, data)
    include = bool(node.attrs.get("count_include_pad", 0))
    if _padded_as_same(node, data, axes) and not include:
        return [_pool(data, axes, "AVG", "SAME")]
    amounts = [(w.begin, w.end + w.extra) for w in axes]
    padded = pad(data, amounts)
    mean = _pool(padded, axes, "AVG", "VALID")
    if padded is data or (include and all(isinstance(w.extra, int) and not w.extra for w in axes)):
        return [mean]
    # The share of each window that counts, computed by the same pool from ones.
    spatial = sizes_of(data)[2:]
    ones = tf.ones([1, 1, *spatial], data.dtype)
    if include:
        ones = pad(ones, [(w.begin, w.end) for w in axes], 1)
        amounts = [(0, w.extra) for w in axes]
    return [mean / _pool(pad(ones, amounts), axes, "AVG", "VALID")]


@register("LpPool")
def lp_pool(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Take the p-norm of each window, from the average of the powers times its number of cells."""
    axes, power = _windows(node, data), float(node.attrs.get("p", 2))
    padded = pad(_powered(data, power), [(w.begin, w.end + w.extra) for w in axes])
    cells = int(np.prod([w.kernel for w in axes]))
    return [_rooted(_pool(padded, axes, "AVG", "VALID") * tf.cast(cells, data.dtype), power)]


@register("MaxUnpool")
def max_unpool(
    node: Node, data: tf.Tensor, indices: tf.Tensor, output_shape: tf.Tensor | None = None
) -> list[tf.Tensor]:
    """Put each number at its index, and zeros elsewhere.

    The indices of a MaxPool refer to its input, which has the output's shape. Other indices refer
    to the smallest tensor that is pooled to such a size, as in ONNX's own test. A larger output
    gets zeros at the end.
    """
    kernel = [int(size) for size in node.attrs["kernel_shape"]]
    rank = len(kernel)
    strides = [int(each) for each in node.attrs.get("strides") or [1] * rank]
    pads = [int(each) for each in node.attrs.get("pads") or [0] * 2 * rank]
    batch, channels, *spatial = sizes_of(data)
    shape = [batch, channels]
    for axis, size in enumerate(spatial):
        around = pads[axis] + pads[rank + axis]
        shape.append((size - 1) * strides[axis] - around + kernel[axis])
    pooled_here = output_shape is not None and _made_by_pool(indices)
    if pooled_here:
        shape = all_elements(output_shape, rank + 2)
    whole = tf.reduce_prod(vector(shape, tf.int64))
    flat, where = tf.reshape(data, [-1]), tf.reshape(indices, [-1, 1])
    result = tf.scatter_nd(where, flat, tf.expand_dims(whole, 0))
    if any(stride < size for stride, size in zip(strides, kernel, strict=True)):
        # Overlapping windows may share a largest cell, which was then added more than once.
        count = tf.scatter_nd(where, tf.ones_like(flat), tf.expand_dims(whole, 0))
        result = result / tf.maximum(count, tf.ones([], data.dtype))
    result = tf.reshape(result, vector(shape))
    if output_shape is None or pooled_here:
        return [result]
    wanted = tf.cast(output_shape, tf.int32)
    return [tf.pad(result, tf.stack([tf.zeros_like(wanted), wanted - tf.shape(result)], 1))]


_INDICES = "nbhelpers/pooled_indices"
"""A graph's collection for the names of indices that a MaxPool made."""


def _made_by_pool(indices: tf.Tensor) -> bool:
    while indices.op.type == "Identity":
        indices = indices.op.inputs[0]
    return indices.name in indices.graph.get_collection(_INDICES)


_POOLS = {
    ("MAX", 1): tf.nn.max_pool1d,
    ("MAX", 2): tf.nn.max_pool2d,
    ("MAX", 3): tf.nn.max_pool3d,
    ("AVG", 1): tf.nn.avg_pool1d,
    ("AVG", 2): tf.nn.avg_pool2d,
    ("AVG", 3): tf.nn.avg_pool3d,
}


def _windows(node: Node, data: tf.Tensor) -> list[Window]:
    return windows(node, data, node.attrs["kernel_shape"])


def _padded_as_same(node: Node, data: tf.Tensor, axes: Sequence[Window]) -> bool:
    """Whether TensorFlow's SAME, in which padding never counts, pads by the same amounts."""
    dynamic = any(isinstance(each, tf.Tensor) for w in axes for each in (w.begin, w.end))
    upper = node.attrs.get("auto_pad") == "SAME_UPPER"
    return dynamic and upper and not _by_slices(data, axes)


def _by_slices(data: tf.Tensor, axes: Sequence[Window]) -> bool:
    """Whether no TensorFlow has a kernel for this pool."""
    deep = len(axes) == 3 and data.dtype != tf.float32
    return any(window.dilation > 1 for window in axes) or len(axes) > 3 or deep


def _pool(data: tf.Tensor, axes: Sequence[Window], kind: str, padding: str) -> tf.Tensor:
    """Pool data that is already padded, or that SAME pads."""
    rank = len(axes)
    if _by_slices(data, axes):
        return _pooled_by_slices(data, axes, kind)
    if rank == 3:
        # The layout optimiser does not move 3-D pools, and old runtimes know them only in NDHWC.
        data = tf.transpose(data, [0, 2, 3, 4, 1])
    layout = ("NCW", "NCHW", "NDHWC")[rank - 1]
    window, strides = [axis.kernel for axis in axes], [axis.stride for axis in axes]
    # tf.nn.pool is not used, because it refuses windows that are smaller than their stride.
    pooled = _POOLS[kind, rank](data, window, strides, padding, data_format=layout)
    return tf.transpose(pooled, [0, 4, 1, 2, 3]) if rank == 3 else pooled


def _pooled_by_slices(data: tf.Tensor, axes: Sequence[Window], kind: str) -> tf.Tensor:
    """Pool one axis after the other, with a strided slice for each cell of the window."""
    for axis, window in enumerate(axes, start=2):
        parts = [seen(data, {axis: window}, [cell]) for cell in range(window.kernel)]
        total = parts[0]
        for part in parts[1:]:
            total = tf.maximum(total, part) if kind == "MAX" else total + part
        data = total if kind == "MAX" else total / tf.cast(window.kernel, data.dtype)
    return data


def _with_indices(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Return the largest numbers and their indices. The first of equal ones counts.

    TensorFlow's own op counts in NHWC, takes padding for cells, and does not support dilations.
    """
    axes, dtype = _windows(node, data), data.dtype
    batch, channels, *spatial = sizes_of(data)
    lowest = _lowest(dtype)
    if dtype.is_integer:  # padding is less than every number
        data, lowest = tf.cast(data, tf.int32), lowest - 1
    data = pad(data, [(w.begin, w.end + w.extra) for w in axes], lowest)
    steps = [1] * len(spatial)
    order = range(len(spatial)) if node.attrs.get("storage_order", 0) else range(len(spatial))[::-1]
    step = 1
    for axis in order:
        steps[axis], step = step, step * spatial[axis]
    best, offset = None, tf.constant(0, tf.int64)
    placed = dict(enumerate(axes, start=2))
    for cells in itertools.product(*(range(w.kernel) for w in axes)):
        part = seen(data, placed, cells)
        if best is None:
            best = part
            continue
        ahead = sum(
            cell * w.dilation * each for cell, w, each in zip(cells, axes, steps, strict=True)
        )
        better = tf.cast(part > best, tf.int64)
        offset = offset + better * (tf.cast(ahead, tf.int64) - offset)
        best = tf.maximum(best, part)
    for axis, w in enumerate(axes):
        places = (tf.range(w.outputs()) * w.stride - w.begin) * steps[axis]
        shape = [1] * (2 + axis) + [-1] + [1] * (len(axes) - axis - 1)
        offset = offset + tf.reshape(tf.cast(places, tf.int64), shape)
    images = tf.reshape(tf.range(batch * channels) * step, [batch, channels, *[1] * len(axes)])
    indices = offset + tf.cast(images, tf.int64)
    indices.graph.add_to_collection(_INDICES, indices.name)
    return [tf.cast(best, dtype), indices]


def _global(data: tf.Tensor, reduce: Callable) -> tf.Tensor:
    return reduce(data, list(range(2, data.shape.rank)), keepdims=True)


def _powered(data: tf.Tensor, power: float) -> tf.Tensor:
    if power == 2:
        return tf.square(data)
    return tf.abs(data) if power == 1 else tf.pow(tf.abs(data), tf.cast(power, data.dtype))


def _rooted(data: tf.Tensor, power: float) -> tf.Tensor:
    if power == 2:
        return tf.sqrt(data)
    return data if power == 1 else tf.pow(data, tf.cast(1 / power, data.dtype))


def _lowest(dtype: tf.DType) -> float:
    return int(dtype.min) if dtype.is_integer else -np.inf
