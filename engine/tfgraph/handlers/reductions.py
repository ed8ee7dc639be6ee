"""Reductions over axes that are an attribute or, in newer opsets, an input, and Det."""

from collections.abc import Callable

import tensorflow as tf

from tfgraph.handlers.kernel_types import ARITHMETIC, FLOATS, SINGLES, widened
from tfgraph.handlers.registry import Node, constant, refusal, register

Reduce = Callable[[tf.Tensor, list[int] | tf.Tensor, bool], tf.Tensor]
"""(data, axes, keep the axes with size one) → data without these axes."""

_SUMMABLE = ARITHMETIC | {tf.complex64, tf.complex128}


def _sum(data: tf.Tensor, axes: list[int] | tf.Tensor, keep: bool) -> tf.Tensor:
    return widened(lambda x: tf.reduce_sum(x, axes, keep), _SUMMABLE, data)


def _prod(data: tf.Tensor, axes: list[int] | tf.Tensor, keep: bool) -> tf.Tensor:
    return widened(lambda x: tf.reduce_prod(x, axes, keep), _SUMMABLE, data)


def _mean(data: tf.Tensor, axes: list[int] | tf.Tensor, keep: bool) -> tf.Tensor:
    if data.dtype == tf.uint64:  # a mean, unlike a sum, would be wrong in int64
        return tf.reduce_mean(data, axes, keep)
    return widened(lambda x: tf.reduce_mean(x, axes, keep), ARITHMETIC, data)


def _max(data: tf.Tensor, axes: list[int] | tf.Tensor, keep: bool) -> tf.Tensor:
    if data.dtype == tf.bool:
        return tf.reduce_any(data, axes, keep)
    return widened(lambda x: tf.reduce_max(x, axes, keep), ARITHMETIC, data, ordered=True)


def _min(data: tf.Tensor, axes: list[int] | tf.Tensor, keep: bool) -> tf.Tensor:
    if data.dtype == tf.bool:
        return tf.reduce_all(data, axes, keep)
    return widened(lambda x: tf.reduce_min(x, axes, keep), ARITHMETIC, data, ordered=True)


def _l1(data: tf.Tensor, axes: list[int] | tf.Tensor, keep: bool) -> tf.Tensor:
    if data.dtype == tf.bfloat16:
        return tf.cast(_l1(tf.cast(data, tf.float32), axes, keep), data.dtype)
    return _sum(data if data.dtype.is_unsigned else tf.abs(data), axes, keep)


def _sum_square(data: tf.Tensor, axes: list[int] | tf.Tensor, keep: bool) -> tf.Tensor:
    return widened(lambda x: tf.reduce_sum(x * x, axes, keep), _SUMMABLE, data)


def _in_floats(function: Reduce) -> Reduce:
    """Compute integers in float32, as ONNX does."""

    def reduce(data: tf.Tensor, axes: list[int] | tf.Tensor, keep: bool) -> tf.Tensor:
        if data.dtype.is_floating:
            return function(data, axes, keep)
        return tf.cast(function(tf.cast(data, tf.float32), axes, keep), data.dtype)

    return reduce


def _l2(data: tf.Tensor, axes: list[int] | tf.Tensor, keep: bool) -> tf.Tensor:
    if data.dtype.is_integer:  # squared and summed in integers, as ONNX defines it
        root = tf.sqrt(tf.cast(_sum_square(data, axes, keep), tf.float32))
        return tf.cast(root, data.dtype)
    return widened(lambda x: tf.sqrt(tf.reduce_sum(x * x, axes, keep)), SINGLES, data)


def _log_sum(data: tf.Tensor, axes: list[int] | tf.Tensor, keep: bool) -> tf.Tensor:
    return widened(lambda x: tf.math.log(tf.reduce_sum(x, axes, keep)), FLOATS, data)


def _log_sum_exp(data: tf.Tensor, axes: list[int] | tf.Tensor, keep: bool) -> tf.Tensor:
    """Subtract the largest value first, unless it is infinite, so that nothing overflows."""

    def reduce(x: tf.Tensor) -> tf.Tensor:
        largest = tf.reduce_max(x, axes, True)
        infinite = tf.logical_not(tf.math.is_finite(largest))
        largest = tf.where(infinite, tf.zeros_like(largest), largest)
        result = tf.math.log(tf.reduce_sum(tf.exp(x - largest), axes, True)) + largest
        return result if keep else _dropped(result, axes, x)

    return widened(reduce, SINGLES, data)


def _dropped(result: tf.Tensor, axes: list[int] | tf.Tensor, data: tf.Tensor) -> tf.Tensor:
    """Drop the reduced axes, which have size one."""
    if isinstance(axes, list):
        return tf.squeeze(result, axes) if axes else result
    return tf.reduce_sum(result, axes)


_REDUCTIONS: dict[str, Reduce] = {
    "ReduceSum": _sum,
    "ReduceProd": _prod,
    "ReduceMean": _mean,
    "ReduceMax": _max,
    "ReduceMin": _min,
    "ReduceL1": _l1,
    "ReduceL2": _l2,
    "ReduceLogSum": _in_floats(_log_sum),
    "ReduceLogSumExp": _in_floats(_log_sum_exp),
    "ReduceSumSquare": _sum_square,
}


@register(*_REDUCTIONS)
def reduce(node: Node, data: tf.Tensor, axes: tf.Tensor | None = None) -> tf.Tensor:
    """Reduce over the given axes, or over all if none are given, unless the node says otherwise."""
    rank, keep = data.shape.rank, bool(node.attrs.get("keepdims", 1))
    nothing = bool(node.attrs.get("noop_with_empty_axes", 0))
    function = _REDUCTIONS[node.op_type]
    given = node.attrs.get("axes") if axes is None else constant(axes)
    if axes is not None and axes.shape[0] == 0:
        given = []
    if given is not None or axes is None:
        chosen = sorted({int(axis) % rank for axis in given}) if given is not None else []
        everything = [] if nothing else list(range(rank))
        return function(data, chosen or everything, keep)
    count = axes.shape[0]
    if count is None and not keep:
        raise refusal(
            node,
            "computes its axes while it runs, and even how many they are, so that the rank of the "
            "result is not known. Set keepdims to 1, or give the axes a fixed length.",
        )
    chosen = tf.cast(axes, tf.int32)
    if count is None:  # an axis may be repeated, which TensorFlow refuses
        chosen = tf.unique(tf.math.floormod(chosen, rank))[0]
    if count is None and not nothing:
        none = tf.cast(tf.equal(tf.size(chosen), 0), tf.int32)
        chosen = tf.concat([chosen, tf.range(rank * none)], 0)
    result = function(data, chosen, keep)
    result.set_shape([None] * (rank if keep else rank - count))
    return result


@register("Det")
def det(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Return the determinants of square matrices."""
    return widened(tf.linalg.det, SINGLES, data)
