"""Ops that sample an image at computed coordinates: grids, regions, deformed kernels.

Images are stored as rows of channels, so each sample is one row of a gather.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfgraph.handlers import interpolation
from tfgraph.handlers.convolution import kernel_sizes, permuted
from tfgraph.handlers.registry import Node, Value, refusal, register
from tfgraph.handlers.sizes import Size, elements, sizes_of
from tfgraph.handlers.windows import windows

_FAR = 4
"""The distance from the border, in cells, from which no kernel reaches into the image."""


@dataclass(frozen=True)
class _Tap:
    """What a sample reads along one axis: the index of a cell, and its weight or None.

    A cell that is not `inside` counts as zero.
    """

    index: tf.Tensor
    weight: tf.Tensor | None
    inside: tf.Tensor | None = None


@register("GridSample")
def grid_sample(node: Node, data: tf.Tensor, grid: tf.Tensor) -> list[tf.Tensor]:
    """Sample at the grid's coordinates, where ±1 are the image's borders or its outer cells."""
    mode = node.attrs.get("mode", "linear").removeprefix("bi")
    padding = node.attrs.get("padding_mode", "zeros")
    if mode not in _TAPS or padding not in ("zeros", "border", "reflection"):
        raise refusal(node, f"has a mode that ONNX does not define: {mode!r}, {padding!r}.")
    align, rank, dtype = bool(node.attrs.get("align_corners", 0)), data.shape.rank - 2, data.dtype
    if dtype not in (tf.float32, tf.float64):
        data = tf.cast(data, tf.float32)
    grid = tf.cast(grid, data.dtype)
    batch, _, *spatial = sizes_of(data)
    taps = []
    for axis, size in enumerate(spatial):
        where, length = grid[..., rank - 1 - axis] + 1, _float(size, data.dtype)
        where = where / 2 * (length - 1) if align else (where * length - 1) / 2
        if padding != "reflection":  # all cells beyond are equal, and integers overflow far away
            where = tf.minimum(tf.maximum(where, -_FAR), length + _FAR)
        found = _TAPS[mode](where)
        taps.append([_inside(tap, size, padding, align) for tap in found])
    images = tf.reshape(tf.range(batch), [-1, *[1] * rank])
    rows = _with_zeros(_rows(data))
    result = tf.add_n([_sampled(rows, images, each, spatial) for each in itertools.product(*taps)])
    return [tf.cast(_channels_first(result), dtype)]


@register("AffineGrid")
def affine_grid(node: Node, theta: tf.Tensor, size: tf.Tensor) -> list[tf.Tensor]:
    """Return the grid that maps an image by an affine matrix, for GridSample."""
    rank = size.shape[0] - 2 if size.shape[0] else theta.shape[1]
    if rank is None:
        raise refusal(
            node,
            "takes a size of unknown length; fix that length (onnxgraph.fix_dims for an input).",
        )
    counts = elements(size) or [size[i] for i in range(2 + rank)]
    spatial = [n if isinstance(n, int) else tf.cast(n, tf.int32) for n in counts[2:]]
    lines = []
    for axis, length in enumerate(spatial):
        cells = tf.cast(tf.range(tf.cast(length, tf.int32)), theta.dtype)
        count = _float(length, theta.dtype)
        if node.attrs.get("align_corners", 0):
            line = cells * 2 / tf.maximum(count - 1, 1) - 1
        else:
            line = (cells * 2 + 1) / count - 1
        shape = [1] * axis + [-1] + [1] * (rank - axis - 1)
        lines.append(tf.reshape(line, shape) + tf.zeros(spatial, theta.dtype))
    ones = tf.ones(spatial, theta.dtype)
    base = tf.reshape(tf.stack([*lines[::-1], ones]), [rank + 1, -1])
    flat = tf.matmul(tf.reshape(theta, [-1, rank + 1]), base)
    grid = tf.reshape(flat, [sizes_of(theta)[0], rank, *spatial])
    return [tf.transpose(grid, [0, *range(2, 2 + rank), 1])]


@register("RoiAlign")
def roi_align(
    node: Node, data: tf.Tensor, rois: tf.Tensor, batch_indices: tf.Tensor
) -> list[tf.Tensor]:
    """Average (or take the largest of) samples in each bin of each region.

    Without a sampling ratio there is one sample per cell of a bin. All regions get as many samples
    as the largest one needs, and the surplus ones do not count.
    """
    half = node.since >= 16 and node.attrs.get("coordinate_transformation_mode") != (
        "output_half_pixel"
    )
    largest, dtype = node.attrs.get("mode", "avg") == "max", data.dtype
    ratio, scale = int(node.attrs.get("sampling_ratio", 0)), node.attrs.get("spatial_scale", 1.0)
    outputs = [int(node.attrs.get(f"output_{each}", 1)) for each in ("height", "width")]
    data = tf.cast(data, tf.float32) if dtype != tf.float64 else data
    corners = tf.cast(rois, data.dtype) * scale - (0.5 if half else 0.0)
    spatial = sizes_of(data)[2:]
    taps, counts, bins, grids = [], [], [], []
    for axis, (size, output) in enumerate(zip(spatial, outputs, strict=True)):
        begin, end = corners[:, 1 - axis, None], corners[:, 3 - axis, None]
        extent = end - begin if half else tf.maximum(end - begin, 1)
        one = extent / output
        count = tf.fill(tf.shape(one), _float(ratio, data.dtype)) if ratio else tf.math.ceil(one)
        count = tf.maximum(count, 0)
        grid = ratio or tf.maximum(tf.cast(tf.reduce_max(count), tf.int32), 1)
        places = tf.range(output * grid)
        cell = tf.cast(places // grid, data.dtype)
        step = tf.cast(places - places // grid * grid, data.dtype)
        where = begin + cell * one + (step + 0.5) * one / tf.maximum(count, 1)
        shape = [-1, 1, output * grid] if axis else [-1, output * grid, 1]
        taps.append([_shaped(tap, shape) for tap in _in_region(where, size)])
        counts.append(count)
        bins.append(tf.reshape(tf.cast(step < count, data.dtype), shape))
        grids.append(grid)
    images = tf.reshape(tf.cast(batch_indices, tf.int32), [-1, 1, 1])
    rows = _rows(data)
    samples = [_sampled(rows, images, each, spatial) for each in itertools.product(*taps)]
    used = tf.expand_dims(bins[0] * bins[1], 3)
    cells = [-1, outputs[0], grids[0], outputs[1], grids[1], sizes_of(data)[1]]
    total = tf.reshape(tf.maximum(counts[0] * counts[1], 1), [-1, 1, 1, 1])
    if largest:
        result = _largest(samples, used, cells)
        any_used = tf.cast(counts[0] * counts[1] > 0, data.dtype)
        result = result * tf.reshape(any_used, [-1, 1, 1, 1])
    else:
        mean = tf.add_n(samples) if ratio else tf.add_n(samples) * used
        result = tf.reduce_sum(tf.reshape(mean, cells), [2, 4]) / total
    return [tf.cast(_channels_first(result), dtype)]


def _largest(samples: Sequence[tf.Tensor], used: tf.Tensor, cells: Sequence[Size]) -> tf.Tensor:
    """Return the largest product of a cell and its weight in each bin, as onnxruntime does."""
    best = samples[0]
    for each in samples[1:]:
        best = tf.maximum(best, each)
    lowest = (used - 1) * tf.cast(1e38, best.dtype)
    return tf.reduce_max(tf.reshape(best * used + lowest, cells), [2, 4])


@register("DeformConv", as_arrays=[1])
def deformed_convolution(
    node: Node,
    data: tf.Tensor,
    weights: Value,
    offset: tf.Tensor,
    bias: tf.Tensor | None = None,
    mask: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """Convolve over cells that are moved by offsets, which may be between cells."""
    if data.shape.rank != 4:
        raise refusal(node, "works on other than two axes; only images can be sampled here.")
    kernel, groups = kernel_sizes(node, weights), int(node.attrs.get("offset_group", 1))
    batch, channels, *spatial = sizes_of(data)
    cells = kernel[0] * kernel[1]
    places = sizes_of(offset)[2:]
    moved = tf.reshape(offset, [batch, groups, cells, 2, *places])
    taps = []
    for axis, window in enumerate(windows(node, data, kernel)):
        cell = np.arange(cells) // kernel[1] if axis == 0 else np.arange(cells) % kernel[1]
        first = tf.range(places[axis]) * window.stride - window.begin
        first = tf.reshape(first, [-1, 1] if axis == 0 else [1, -1])
        regular = first + (cell * window.dilation).astype(np.int32).reshape(-1, 1, 1)
        where = moved[:, :, :, axis] + tf.cast(regular, data.dtype)
        taps.append([_inside(tap, spatial[axis], "zeros", False) for tap in _linear(where)])
    each_group = tf.reshape(data, [batch * groups, channels // groups, *spatial])
    images = tf.reshape(tf.range(batch * groups), [batch, groups, 1, 1, 1])
    rows = _with_zeros(_rows(each_group))
    columns = tf.add_n([_sampled(rows, images, each, spatial) for each in itertools.product(*taps)])
    if mask is not None:
        columns = columns * tf.reshape(mask, [batch, groups, cells, *places, 1])
    columns = tf.transpose(columns, [0, 3, 4, 2, 1, 5])  # batch, places, cells, channels
    result = _products(columns, weights, int(node.attrs.get("group", 1)), cells, channels)
    result = tf.reshape(result, [batch, *places, int(weights.shape[0])])
    result = result if bias is None else result + bias
    return [_channels_first(result)]


def _products(
    columns: tf.Tensor, weights: Value, group: int, cells: int, channels: Size
) -> tf.Tensor:
    """Multiply columns (…×cells×channels) by weights (M×C/group×kernel), group by group."""
    outputs, inputs = int(weights.shape[0]) // group, int(weights.shape[1])
    table = permuted(weights, [2, 3, 1, 0], [cells * inputs, outputs * group])
    if group == 1:
        return tf.matmul(tf.reshape(columns, [-1, cells * inputs]), table)
    parts = tf.split(tf.reshape(columns, [-1, cells, channels]), [inputs] * group, axis=2)
    tables = tf.split(table, group, axis=1)
    flat = [tf.reshape(part, [-1, cells * inputs]) for part in parts]
    return tf.concat([tf.matmul(a, b) for a, b in zip(flat, tables, strict=True)], 1)


def _nearest(where: tf.Tensor) -> list[_Tap]:
    return [_Tap(tf.cast(tf.round(where), tf.int32), None)]


def _linear(where: tf.Tensor) -> list[_Tap]:
    low = tf.floor(where)
    index, share = tf.cast(low, tf.int32), where - low
    return [_Tap(index, 1 - share), _Tap(index + 1, share)]


def _cubic(where: tf.Tensor) -> list[_Tap]:
    low = tf.floor(where)
    index = tf.cast(low, tf.int32)
    return [
        _Tap(index + step, interpolation.keys(where - low - step, -0.75)) for step in (-1, 0, 1, 2)
    ]


_TAPS = {"nearest": _nearest, "linear": _linear, "cubic": _cubic}


def _inside(tap: _Tap, size: Size, padding: str, align: bool) -> _Tap:
    """Move a cell into the image or, if the padding is zeros, mark it where it is outside."""
    index, inside = tap.index, None
    if padding == "reflection":
        last = interpolation.maximum(2 * size - 2, 1) if align else 2 * size - 1
        period = last if align else last + 1
        index = index % period
        index = tf.minimum(index, last - index)
    elif padding == "zeros":
        inside = tf.logical_and(index >= 0, index < size)
    return _Tap(interpolation.clipped(index, size), tap.weight, inside)


def _in_region(where: tf.Tensor, size: Size) -> list[_Tap]:
    """Return the taps of RoiAlign, where one cell beyond the border counts as the border."""
    length = _float(size, where.dtype)
    within = tf.cast(tf.logical_and(where >= -1, where <= length), where.dtype)
    where = tf.maximum(tf.minimum(where, length - 1), 0)
    low, high = _linear(where)
    return [
        _Tap(each.index if each is low else interpolation.clipped(each.index, size), within * share)
        for each, share in ((low, low.weight), (high, high.weight))
    ]


def _shaped(tap: _Tap, shape: Sequence[Size]) -> _Tap:
    weight = None if tap.weight is None else tf.reshape(tap.weight, shape)
    return _Tap(tf.reshape(tap.index, shape), weight)


def _sampled(
    rows: tf.Tensor, images: tf.Tensor, taps: Sequence[_Tap], spatial: Sequence[Size]
) -> tf.Tensor:
    """Return one cell for each sample, times its weights, with channels last.

    A sample that is not inside reads the last of the rows, which is zeros.
    """
    index, weight, inside = images, None, None
    for tap, size in zip(taps, spatial, strict=True):
        index = index * size + tap.index
        if tap.inside is not None:
            inside = tap.inside if inside is None else tf.logical_and(inside, tap.inside)
        if tap.weight is not None:
            weight = tap.weight if weight is None else weight * tap.weight
    if inside is not None:
        chosen = tf.cast(inside, tf.int32)
        index = index * chosen + (tf.shape(rows)[0] - 1) * (1 - chosen)
    seen = tf.gather(rows, index)
    return seen if weight is None else seen * tf.expand_dims(tf.cast(weight, rows.dtype), -1)


def _rows(data: tf.Tensor) -> tf.Tensor:
    """Return the cells of all images, one row of channels per cell."""
    rank = data.shape.rank
    last = tf.transpose(data, [0, *range(2, rank), 1])
    return tf.reshape(last, [-1, sizes_of(data)[1]])


def _with_zeros(rows: tf.Tensor) -> tf.Tensor:
    """Return the rows, followed by one of zeros."""
    return tf.pad(rows, [[0, 1], [0, 0]])


def _channels_first(data: tf.Tensor) -> tf.Tensor:
    rank = data.shape.rank
    return tf.transpose(data, [0, rank - 1, *range(1, rank - 1)])


def _float(size: Size, dtype: tf.DType) -> tf.Tensor:
    if isinstance(size, tf.Tensor):
        return tf.cast(size, dtype)
    return tf.constant(size, dtype)
