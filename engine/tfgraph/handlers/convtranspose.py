"""Transposed convolutions: each input cell adds its kernel to the output."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfgraph.handlers.convolution import kernel_sizes, permuted
from tfgraph.handlers.interpolation import Array, clipped, integers
from tfgraph.handlers.registry import Node, Value, refusal, register
from tfgraph.handlers.sizes import Size, all_elements, product, sizes_of
from tfgraph.handlers.windows import larger, pad


@register("ConvTranspose", as_arrays=[1])
def conv_transpose(
    node: Node, data: tf.Tensor, weights: Value, bias: tf.Tensor | None = None
) -> list[tf.Tensor]:
    """Add the kernels up, then cut off the padding. Cells that no kernel reaches are zero."""
    rank = data.shape.rank - 2
    if rank not in (1, 2, 3):
        raise refusal(node, f"works on {rank} axes; TensorFlow knows one, two and three.")
    kernel = kernel_sizes(node, weights)
    strides = [int(each) for each in node.attrs.get("strides") or [1] * rank]
    dilations = [int(each) for each in node.attrs.get("dilations") or [1] * rank]
    weights = _spread(weights, dilations)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    crops = _crops(node, data, reach, strides)
    group = int(node.attrs.get("group", 1))
    if rank == 1:
        data, weights = tf.expand_dims(data, 2), weights[:, :, None]
        reach, strides, crops = [1, *reach], [1, *strides], [(0, 0), *crops]
    result = _added(data, weights, group, strides, reach, crops)
    if bias is not None:
        result = tf.nn.bias_add(result, bias, data_format="NC" + "DHW"[3 - len(reach) :])
    return [tf.squeeze(result, 2) if rank == 1 else result]


@register("Col2Im")
def col2im(
    node: Node, data: tf.Tensor, image_shape: tf.Tensor, block_shape: tf.Tensor
) -> list[tf.Tensor]:
    """Add blocks up to an image. Cells in the padding go to an extra row, which is dropped."""
    rank = image_shape.shape[0] or block_shape.shape[0]
    image, block = (
        [tf.cast(each, tf.int32) if isinstance(each, tf.Tensor) else each for each in vector]
        for vector in (all_elements(image_shape, rank), all_elements(block_shape, rank))
    )
    strides = [int(each) for each in node.attrs.get("strides") or [1] * rank]
    dilations = [int(each) for each in node.attrs.get("dilations") or [1] * rank]
    pads = [int(each) for each in node.attrs.get("pads") or [0] * 2 * rank]
    where: Any = 0
    used: Any = 1
    for axis in range(rank):
        reach = (block[axis] - 1) * dilations[axis] + 1
        places = (image[axis] + pads[axis] + pads[rank + axis] - reach) // strides[axis] + 1
        cell = _along(block[axis], axis, 2 * rank) * dilations[axis] - pads[axis]
        position = cell + _along(places, rank + axis, 2 * rank) * strides[axis]
        used = used * integers(position >= 0) * integers(position < image[axis])
        where = where * image[axis] + clipped(position, image[axis])
    whole = product(image)
    where = tf.reshape(where * used + whole * (1 - used), [-1, 1])
    batch, channels, _ = sizes_of(data)
    channels = channels // product(block)
    rows = tf.reshape(data, [batch * channels, -1])
    added = tf.scatter_nd(where, tf.transpose(rows), [whole + 1, batch * channels])
    return [tf.reshape(tf.transpose(added[:whole]), [batch, channels, *image])]


def _along(count: Size, axis: int, rank: int) -> Array:
    """Return 0, 1, … along one axis of `rank` axes."""
    shape = [1] * axis + [-1] + [1] * (rank - axis - 1)
    if isinstance(count, tf.Tensor):
        return tf.reshape(tf.range(count), shape)
    return np.arange(count, dtype=np.int32).reshape(shape)


def _crops(
    node: Node, data: tf.Tensor, reach: list[int], strides: list[int]
) -> list[tuple[Size, Size]]:
    """Return what to cut off the kernels' sum at both ends of each axis. A negative one adds zeros.

    `output_padding` appends zeros to the sum. `output_shape` and `auto_pad` set its length.
    """
    rank = len(reach)
    extra = [int(each) for each in node.attrs.get("output_padding") or [0] * rank]
    automatic = node.attrs.get("auto_pad", "NOTSET") or "NOTSET"
    wanted = list(node.attrs.get("output_shape") or [])[-rank:]
    if not wanted and not automatic.startswith("SAME"):
        pads = [int(each) for each in node.attrs.get("pads") or []]
        pads = pads if pads and automatic == "NOTSET" else [0] * 2 * rank
        return [(pads[axis], pads[rank + axis] - extra[axis]) for axis in range(rank)]
    result = []
    for axis, size in enumerate(sizes_of(data)[2:]):
        # The excess over the output's size, with the appended zeros included.
        if wanted:
            over = (size - 1) * strides[axis] + reach[axis] + extra[axis] - int(wanted[axis])
            total = larger(over, 0)
        else:
            over = total = max(reach[axis] + extra[axis] - strides[axis], 0)
        begin = total // 2 if automatic == "SAME_UPPER" else total - total // 2
        result.append((begin, over - begin - extra[axis]))
    return result


def _spread(weights: Value, dilations: list[int]) -> Value:
    """Put zeros between the cells of a kernel, because no TensorFlow dilates this op everywhere."""
    for axis, dilation in enumerate(dilations, start=2):
        if dilation == 1:
            continue
        shape = list(weights.shape)
        spread = [*shape[: axis + 1], dilation, *shape[axis + 1 :]]
        holes = [[0, 0] if i != axis + 1 else [0, dilation - 1] for i in range(len(spread))]
        whole = [*shape[:axis], shape[axis] * dilation, *shape[axis + 1 :]]
        lib, put = (np, np.pad) if isinstance(weights, np.ndarray) else (tf, tf.pad)
        weights = lib.reshape(put(lib.expand_dims(weights, axis + 1), holes), whole)
        cut = [slice(None)] * axis + [slice(0, (shape[axis] - 1) * dilation + 1)]
        weights = weights[tuple(cut)]
    return weights


def _added(
    data: tf.Tensor,
    weights: Value,
    group: int,
    strides: list[int],
    reach: list[int],
    crops: Sequence[tuple[Size, Size]],
) -> tf.Tensor:
    """Return the sum of the kernels less `crops`. `weights` are C×M/group×kernel."""
    rank, spatial = len(reach), sizes_of(data)[2:]
    # TensorFlow's SAME pads by exactly this amount if the output has stride times the input's size.
    same = all(
        isinstance(begin, int)
        and isinstance(end, int)
        and k >= stride
        and begin + end == k - stride
        and begin == (k - stride) // 2
        for (begin, end), k, stride in zip(crops, reach, strides, strict=True)
    )
    full = [
        (size - 1) * stride + k for size, stride, k in zip(spatial, strides, reach, strict=True)
    ]
    padding = "SAME" if same else "VALID"
    steps = [max(strides)] * 2 if reach[0] == spatial[0] == 1 else strides  # one row: any stride
    if same:
        full = [size * stride for size, stride in zip(spatial, strides, strict=True)]
    batch, outputs = sizes_of(data)[0], int(weights.shape[1])
    if rank == 2 and group == weights.shape[0] > 1 == outputs and len(set(steps)) == 1:
        result = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=[batch, group, *full],
            filter=permuted(weights, [2, 3, 0, 1]),
            out_backprop=data,
            strides=[1, 1, *steps],
            padding=padding,
            data_format="NCHW",
        )
        return result if same else _cut(result, full, crops)
    results = []
    filters = permuted(weights, [*range(2, 2 + rank), 1, 0])
    for part, kernel in zip(
        tf.split(data, group, axis=1) if group > 1 else [data],
        tf.split(filters, group, axis=-1) if group > 1 else [filters],
        strict=True,
    ):
        results.append(_backwards(part, kernel, [batch, outputs, *full], strides, padding))
    result = tf.concat(results, 1) if group > 1 else results[0]
    return result if same else _cut(result, full, crops)


def _backwards(
    data: tf.Tensor, kernel: tf.Tensor, shape: list[Size], strides: list[int], padding: str
) -> tf.Tensor:
    """Compute it as the gradient of a convolution with respect to its input, which is the same."""
    if len(strides) == 2:
        return tf.raw_ops.Conv2DBackpropInput(
            input_sizes=shape,
            filter=kernel,
            out_backprop=data,
            strides=[1, 1, *strides],
            padding=padding,
            data_format="NCHW",
        )
    batch, channels, *spatial = shape
    result = tf.raw_ops.Conv3DBackpropInputV2(
        input_sizes=[batch, *spatial, channels],
        filter=kernel,
        out_backprop=tf.transpose(data, [0, 2, 3, 4, 1]),
        strides=[1, *strides, 1],
        padding=padding,
    )
    return tf.transpose(result, [0, 4, 1, 2, 3])


def _cut(data: tf.Tensor, full: Sequence[Size], crops: Sequence[tuple[Size, Size]]) -> tf.Tensor:
    """Cut off `crops` at both ends. A negative number appends zeros there."""
    where, zeros = [slice(None)] * 2, []
    for size, (begin, end) in zip(full, crops, strict=True):
        whole = isinstance(begin, int) and isinstance(end, int) and begin == 0 >= end
        where.append(slice(None) if whole else slice(begin, size - larger(end, 0)))
        zeros.append((0, larger(-end, 0)))
    if any(each != slice(None) for each in where):
        data = data[tuple(where)]
    return pad(data, zeros)
