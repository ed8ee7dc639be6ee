"""Ops that ONNX has removed but old files contain: ConstantFill and ImageScaler."""

import onnx
import tensorflow as tf

from tfgraph.handlers.registry import Node, refusal, register


@register("ConstantFill")
def constant_fill(node: Node, data: tf.Tensor | None = None) -> tf.Tensor:
    """Fill a shape with one number, by default zero.

    The shape is an attribute, the input's shape, or the input itself. `extra_shape` is appended.
    """
    if (data is None) != ("shape" in node.attrs):
        raise refusal(node, "needs either the attribute shape or an input; fix the model.")
    if data is None:
        shape = tf.constant(node.attrs["shape"], tf.int32)
    else:
        shape = tf.cast(data, tf.int32) if node.attrs.get("input_as_shape") else tf.shape(data)
        shape = tf.concat([shape, tf.cast(node.attrs.get("extra_shape", []), tf.int32)], 0)
    code = node.attrs.get("dtype", onnx.TensorProto.FLOAT)
    dtype = tf.as_dtype(onnx.helper.tensor_dtype_to_np_dtype(code))
    return tf.fill(shape, tf.cast(node.attrs.get("value", 0.0), dtype))


@register("ImageScaler")
def image_scaler(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Multiply by a number, and add a number to each channel."""
    bias = node.attrs.get("bias")
    scaled = data * tf.cast(node.attrs.get("scale", 1.0), data.dtype)
    if bias is None:
        return scaled
    return tf.nn.bias_add(scaled, tf.constant(bias, data.dtype), data_format="NCHW")
