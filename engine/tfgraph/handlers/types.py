"""Casts between dtypes."""

import tensorflow as tf
from onnx import TensorProto

from tfgraph.handlers.registry import Node, refusal, register

_DTYPES: dict[int, tf.DType] = {
    TensorProto.FLOAT: tf.float32,
    TensorProto.DOUBLE: tf.float64,
    TensorProto.FLOAT16: tf.float16,
    TensorProto.BFLOAT16: tf.bfloat16,
    TensorProto.INT8: tf.int8,
    TensorProto.INT16: tf.int16,
    TensorProto.INT32: tf.int32,
    TensorProto.INT64: tf.int64,
    TensorProto.UINT8: tf.uint8,
    TensorProto.UINT16: tf.uint16,
    TensorProto.UINT32: tf.uint32,
    TensorProto.UINT64: tf.uint64,
    TensorProto.BOOL: tf.bool,
    TensorProto.COMPLEX64: tf.complex64,
    TensorProto.COMPLEX128: tf.complex128,
}


def dtype_of(node: Node, code: int | str) -> tf.DType:
    """Return TensorFlow's dtype for ONNX's, which opsets up to 5 give by name."""
    number: int = TensorProto.DataType.Value(code) if isinstance(code, str) else code
    if number not in _DTYPES:
        raise refusal(
            node,
            f"makes {TensorProto.DataType.Name(number).lower()}, which is not converted: "
            "TensorFlow computes in integers of 8 to 64 bits, floats of 16 to 64 and booleans. "
            "Export the model with one of them.",
        )
    return _DTYPES[number]


@register("Cast")
def cast(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Cast. Floats are truncated towards zero, and integers that do not fit wrap."""
    if node.attrs["to"] in (TensorProto.STRING, "STRING"):
        return _cast(node, data, tf.string)
    return _cast(node, data, dtype_of(node, node.attrs["to"]))


@register("CastLike")
def cast_like(node: Node, data: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Cast to the dtype of another tensor."""
    return _cast(node, data, other.dtype)


def _cast(node: Node, data: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    if tf.string in (data.dtype, dtype):
        return _text_cast(node, data, dtype)
    if data.dtype not in _DTYPES.values():
        raise refusal(node, f"casts from {data.dtype.name}, which is not converted.")
    return tf.cast(data, dtype) if data.dtype != dtype else tf.identity(data)


_READ = {tf.float32, tf.float64, tf.int32, tf.int64}
"""The dtypes that TensorFlow reads from a string."""


def _text_cast(node: Node, data: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Read numbers from strings, or write integers as strings."""
    if data.dtype == dtype:
        return tf.identity(data)
    if dtype in _READ:
        return tf.strings.to_number(data, dtype)
    if dtype == tf.string and data.dtype.is_integer and data.dtype != tf.uint64:
        return tf.strings.as_string(tf.cast(data, tf.int64))
    raise refusal(
        node,
        f"casts {data.dtype.name} to {dtype.name}, which every program writes in words of its own. "
        "Cast integers to texts, or texts to int32, int64, float or double.",
    )


@register("BitCast")
def bit_cast(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Read the same bits as another dtype of the same size."""
    dtype = dtype_of(node, node.attrs["to"])
    if data.dtype == dtype:
        return tf.identity(data)
    if tf.bool in (data.dtype, dtype):  # a byte of 0 or 1 on both sides
        byte = data if data.dtype in (tf.bool, tf.uint8) else tf.bitcast(data, tf.uint8)
        byte = tf.cast(byte, dtype if dtype in (tf.bool, tf.uint8) else tf.uint8)
        return byte if byte.dtype == dtype else tf.bitcast(byte, dtype)
    return tf.bitcast(data, dtype)
