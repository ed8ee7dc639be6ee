"""Tensors that are made without an input, or from a size."""

import numpy as np
import onnx
import tensorflow as tf

from onnxgraph.model.sparse import dense_values
from tfgraph.handlers.registry import Node, constant, refusal, register
from tfgraph.handlers.sizes import all_elements, size_of, vector

LARGEST = 1024
"""Filled constants of up to this many elements are written out. Others become a Fill."""

_DTYPES: dict[str, type[np.generic]] = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}


@register("Constant")
def make_constant(node: Node) -> list[tf.Tensor]:
    """Keep the value among the weights. It enters the graph when a handler first asks for it."""
    ((kind, value),) = node.attrs.items()
    if kind == "value":
        array = onnx.numpy_helper.to_array(value)
    elif kind == "sparse_value":
        array = dense_values(value)
    elif kind in _DTYPES:
        array = np.array(value, _DTYPES[kind])
    else:
        array = np.array(value, object)
    node.tensors.weights[node.outputs[0]] = array
    return []


@register("ConstantOfShape")
def constant_of_shape(node: Node, shape: tf.Tensor) -> tf.Tensor:
    """Fill a shape with one value, by default a float zero."""
    given = node.attrs.get("value")
    value = np.float32(0) if given is None else onnx.numpy_helper.to_array(given).reshape(())
    if shape.shape[0] is None:
        raise refusal(
            node,
            "fills a shape of unknown length; fix that length (onnxgraph.fix_dims for an input).",
        )
    sizes = all_elements(shape, shape.shape[0])
    if all(isinstance(size, int) for size in sizes) and np.prod(sizes) <= LARGEST:
        return tf.constant(np.full(sizes, value))
    return tf.fill(vector(sizes), tf.constant(value))


@register("EyeLike")
def eye_like(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Return ones on the k-th diagonal, with the data's shape, and by default its dtype."""
    code = node.attrs.get("dtype")
    dtype = data.dtype if code is None else tf.as_dtype(onnx.helper.tensor_dtype_to_np_dtype(code))
    k = node.attrs.get("k", 0)
    rows, columns = data.shape
    if rows is not None and columns is not None:
        return tf.constant(np.eye(rows, columns, k).astype(dtype.as_numpy_dtype))
    down = tf.range(size_of(data, 0))[:, None] + k
    return tf.cast(tf.equal(down, tf.range(size_of(data, 1))[None, :]), dtype)


_COUNTABLE = {tf.int32, tf.int64}


@register("Range")
def make_range(node: Node, start: tf.Tensor, limit: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """Count from `start` to `limit`. A float is start + i·delta, so that no errors add up."""
    start, limit, delta = (tf.reshape(value, []) for value in (start, limit, delta))
    if start.dtype in _COUNTABLE:
        known = [constant(value) for value in (start, limit, delta)]
        limits = [int(value) for value in known if value is not None]
        if len(limits) == 3 and len(range(*limits)) <= LARGEST:
            return tf.constant(np.arange(*limits, dtype=start.dtype.as_numpy_dtype))
        if known[2] is not None:  # TensorFlow refuses a limit before the start, ONNX does not
            nearest = tf.maximum if int(known[2]) > 0 else tf.minimum
            return tf.range(start, nearest(start, limit), delta)
    dtype = start.dtype
    if dtype in (tf.float16, tf.bfloat16):
        start, limit, delta = (tf.cast(value, tf.float32) for value in (start, limit, delta))
    if dtype.is_integer:
        start, limit, delta = (tf.cast(value, tf.int64) for value in (start, limit, delta))
    steps = tf.cast(limit - start, tf.float64) / tf.cast(delta, tf.float64)
    count = tf.cast(tf.maximum(tf.math.ceil(steps), 0), tf.int32)
    return tf.cast(start + tf.cast(tf.range(count), start.dtype) * delta, dtype)
