"""Which dtypes every TensorFlow computes in, and how the others are computed exactly.

No TensorFlow has a kernel for every dtype that ONNX allows, and the old ones have few. Integers are
computed in wider ones and cast back, which wraps as the narrow ones do. Half floats are computed in
float32.
"""

from collections.abc import Callable, Collection

import numpy as np
import tensorflow as tf

from tfgraph.handlers.registry import constant

SINGLES = frozenset({tf.float32, tf.float64})
FLOATS = SINGLES | {tf.float16}
BRAINS = FLOATS | {tf.bfloat16}
WIDE = FLOATS | {tf.int32, tf.int64}
SIGNED = WIDE | {tf.bfloat16, tf.int8, tf.int16, tf.uint8}
ARITHMETIC = SIGNED | {tf.uint16}

_WIDER = {
    tf.float16: tf.float32,
    tf.bfloat16: tf.float32,
    tf.int8: tf.int32,
    tf.int16: tf.int32,
    tf.uint8: tf.int32,
    tf.uint16: tf.int32,
    tf.uint32: tf.int64,
    tf.uint64: tf.int64,
}


def widened(
    function: Callable,
    native: Collection[tf.DType],
    *values: tf.Tensor,
    ordered: bool = False,
    keep: bool = True,
) -> tf.Tensor:
    """Apply a function in the values' own dtype if it is `native`, or else in a wider one.

    The widest unsigned integers become signed ones with the same bits. For a function that compares
    (`ordered`) their sign bit is flipped, which keeps their order. Without `keep` the result is not
    cast back.
    """
    dtype = values[0].dtype
    if dtype in native:
        return function(*values)
    if dtype == tf.bool or dtype not in _WIDER:
        raise TypeError(f"{dtype.name} is not a dtype that it can be computed in")
    move = ordered and dtype == tf.uint64
    result = function(*(_moved(tf.cast(value, _WIDER[dtype]), move) for value in values))
    return tf.cast(_moved(result, move), dtype) if keep else result


def _moved(value: tf.Tensor, move: bool) -> tf.Tensor:
    """Flip the sign bit by adding the lowest number, because integers wrap."""
    return value + tf.constant(tf.int64.min, tf.int64) if move else value


def spread(value: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Return a constant with ones before its axes if `other` has more axes. Other values stay.

    The layout optimiser moves an op between NCHW and NHWC only if both sides have all axes. A
    constant of shape (C, 1, 1) would keep a transposition on either side.
    """
    missing = other.shape.rank - value.shape.rank
    if missing > 0 and value.shape.rank > 0 and other.shape.rank >= 4:
        known = constant(value)
        if known is not None:
            return tf.constant(known.reshape([1] * missing + list(known.shape)))
    return value


def scalar(number: float | np.ndarray, dtype: tf.DType) -> tf.Tensor:
    """Return a constant of a dtype. For an integer dtype a float is truncated."""
    with np.errstate(over="ignore"):
        return tf.constant(np.asarray(number).astype(dtype.as_numpy_dtype))
