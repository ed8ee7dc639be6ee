"""Matrix products."""

import tensorflow as tf

from tfgraph.handlers.kernel_types import SINGLES, widened
from tfgraph.handlers.registry import Node, register
from tfgraph.handlers.sizes import inferable, sizes_of, vector

NATIVE = SINGLES | {tf.float16, tf.bfloat16, tf.int32, tf.int64, tf.complex64, tf.complex128}
"""The dtypes in which TensorFlow multiplies matrices."""


@register("Gemm")
def gemm(node: Node, a: tf.Tensor, b: tf.Tensor, c: tf.Tensor | None = None) -> list[tf.Tensor]:
    """Compute alpha·A·B + beta·C in the inputs' dtype, without a scaling by one."""
    alpha, beta = node.attrs.get("alpha", 1.0), node.attrs.get("beta", 1.0)
    result = multiplied(
        a,
        b,
        transpose_a=bool(node.attrs.get("transA", 0)),
        transpose_b=bool(node.attrs.get("transB", 0)),
    )
    if alpha != 1.0:
        result = result * tf.cast(alpha, a.dtype)
    if c is None or beta == 0.0:
        return [result]
    return [result + (c if beta == 1.0 else c * tf.cast(beta, a.dtype))]


@register("MatMul")
def mat_mul(node: Node, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Multiply matrices as numpy does: a vector is a row on the left and a column on the right."""
    left = tf.expand_dims(a, 0) if a.shape.rank == 1 else a
    right = tf.expand_dims(b, 1) if b.shape.rank == 1 else b
    result = multiplied(left, right)
    axes = [axis for axis, factor in ((-2, a), (-1, b)) if factor.shape.rank == 1]
    return tf.squeeze(result, axes) if axes else result


def multiplied(
    a: tf.Tensor, b: tf.Tensor, *, transpose_a: bool = False, transpose_b: bool = False
) -> tf.Tensor:
    """Multiply matrices in any dtype. The axes before the last two are broadcast.

    Many matrices times one matrix become one large product, which is faster, and which old
    TensorFlows support.
    """
    if a.dtype not in NATIVE:
        return widened(
            lambda x, y: multiplied(x, y, transpose_a=transpose_a, transpose_b=transpose_b),
            NATIVE,
            a,
            b,
        )
    depth = a.shape[-1]
    columns = b.shape[0 if transpose_b else -1]
    if a.shape.rank > 2 and b.shape.rank == 2 and depth and columns and not transpose_a:
        rows = tf.matmul(tf.reshape(a, [-1, depth]), b, transpose_b=transpose_b)
        return tf.reshape(rows, vector(inferable([*sizes_of(a)[:-1], columns])))
    return tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
