"""Windows that move over spatial axes, with their padding as numbers or as tensors.

A size that is unknown while the graph is built becomes a scalar tensor, and so do values that
depend on it. Everything else stays a number, so a graph with known sizes contains no such
arithmetic.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfgraph.handlers.registry import Node
from tfgraph.handlers.sizes import Size, size_of, sizes_of


@dataclass(frozen=True)
class Window:
    """One axis of `data`, in elements. `extra` is the padding at the end that ceil_mode adds."""

    data: tf.Tensor
    axis: int
    kernel: int
    stride: int
    dilation: int
    begin: Size
    end: Size
    extra: Size

    @property
    def size(self) -> Size:
        """The size of the axis."""
        return size_of(self.data, self.axis)

    @property
    def reach(self) -> int:
        """The number of elements that the window spans."""
        return (self.kernel - 1) * self.dilation + 1

    def outputs(self) -> Size:
        """Return the number of the window's positions, padding included."""
        return (self.size + self.begin + self.end + self.extra - self.reach) // self.stride + 1


def larger(first: Size, second: Size) -> Size:
    """Return the larger of two sizes."""
    if isinstance(first, int) and isinstance(second, int):
        return max(first, second)
    return tf.maximum(first, second)


def windows(node: Node, data: tf.Tensor, kernel: Sequence[int]) -> list[Window]:
    """Return one window per axis, from the attributes of a convolution or a pool."""
    rank = len(kernel)
    strides = [int(each) for each in node.attrs.get("strides") or [1] * rank]
    dilations = [int(each) for each in node.attrs.get("dilations") or [1] * rank]
    automatic = node.attrs.get("auto_pad", "NOTSET") or "NOTSET"
    pads = list(node.attrs.get("pads") or []) if automatic == "NOTSET" else []
    pads = [int(pad) for pad in pads] or [0] * 2 * rank
    result = []
    for axis in range(rank):
        stride, dilation = strides[axis], dilations[axis]
        reach = (int(kernel[axis]) - 1) * dilation + 1
        begin, end, extra = pads[axis], pads[rank + axis], 0
        if automatic.startswith("SAME"):
            begin, end = same_padding(size_of(data, 2 + axis), stride, reach, automatic)
        elif node.attrs.get("ceil_mode", 0):
            extra = _past_the_end(size_of(data, 2 + axis), stride, reach, begin, end)
        shape = int(kernel[axis]), stride, dilation
        result.append(Window(data, 2 + axis, *shape, begin, end, extra))
    return result


def same_padding(
    size: Size, stride: int, reach: int, automatic: str = "SAME_UPPER"
) -> tuple[Size, Size]:
    """Return the padding for which the output has size / stride elements, rounded up."""
    total = larger((-(-size // stride) - 1) * stride + reach - size, 0) if stride > 1 else reach - 1
    less = total // 2
    return (less, total - less) if automatic == "SAME_UPPER" else (total - less, less)


def _past_the_end(size: Size, stride: int, reach: int, begin: int, end: int) -> Size:
    """Return what ceil_mode adds at the end. A window that would begin in it is dropped."""
    padded = size + begin + end
    last = -(-(padded - reach) // stride)
    beyond = last * stride >= size + begin
    last = last - (int(beyond) if isinstance(beyond, bool) else tf.cast(beyond, tf.int32))
    return larger(last * stride + reach - padded, 0)


def pad(
    data: tf.Tensor, amounts: Sequence[tuple[Size, Size]], value: float = 0, *, first: int = 2
) -> tf.Tensor:
    """Pad the axes from the `first` on."""
    if not any(isinstance(each, tf.Tensor) or each for pair in amounts for each in pair):
        return data
    rows = [(0, 0)] * first + list(amounts)
    rows += [(0, 0)] * (data.shape.rank - len(rows))
    constant = all(isinstance(each, int) for pair in rows for each in pair)
    paddings = np.array(rows, np.int32) if constant else tf.stack([tf.stack(row) for row in rows])
    if value == 0:
        return tf.pad(data, paddings)
    return tf.pad(data, paddings, constant_values=np.asarray(value, data.dtype.as_numpy_dtype))


def seen(data: tf.Tensor, axes: Mapping[int, Window], cells: Sequence[int]) -> tf.Tensor:
    """Return the elements under one cell of a window at every position, in data already padded."""
    where = [slice(None)] * data.shape.rank
    for (axis, window), cell in zip(axes.items(), cells, strict=True):
        begin = cell * window.dilation
        span = (window.outputs() - 1) * window.stride + 1
        where[axis] = slice(begin, begin + span, window.stride)
    return data[tuple(where)]


def undilated(
    data: tf.Tensor,
    strides: Sequence[int],
    dilations: Sequence[int],
    convolve: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """Convolve with dilations by a function without them. Data and result have channels last.

    Every dilation-th element goes into a batch of its own, where they are next to each other.
    `convolve` must have stride one and no padding.
    """
    spatial = sizes_of(data)[1:-1]
    missing = [-size % dilation for size, dilation in zip(spatial, dilations, strict=True)]
    rows = [[0, each] for each in missing]
    if not all(isinstance(each, int) for each in missing):
        rows = tf.stack([tf.stack(row) for row in rows])
    result = tf.batch_to_space(
        convolve(tf.space_to_batch(data, list(dilations), rows)), list(dilations), rows
    )
    if max(strides) == 1:
        return result
    return result[(slice(None), *(slice(None, None, stride) for stride in strides))]
