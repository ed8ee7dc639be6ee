"""NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss."""

import tensorflow as tf

from tfgraph.handlers.registry import Node, refusal, register
from tfgraph.handlers.sizes import product, sizes_of, vector


@register("NegativeLogLikelihoodLoss")
def nll_loss(
    node: Node, scores: tf.Tensor, target: tf.Tensor, weight: tf.Tensor | None = None
) -> list[tf.Tensor]:
    """Take the negative, weighted score of each target class, and reduce by sum, mean or not."""
    return [_loss(node, scores, target, weight)]


@register("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy_loss(
    node: Node, scores: tf.Tensor, target: tf.Tensor, weight: tf.Tensor | None = None
) -> list[tf.Tensor]:
    """Return the loss of the log-softmax, and the log-softmax itself."""
    shifted = scores - tf.reduce_max(scores, 1, keepdims=True)
    logarithms = shifted - tf.math.log(tf.reduce_sum(tf.exp(shifted), 1, keepdims=True))
    return [_loss(node, logarithms, target, weight), logarithms]


def _loss(node: Node, scores: tf.Tensor, target: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
    reduction = node.attrs.get("reduction", "mean")
    if reduction not in ("none", "sum", "mean"):
        raise refusal(node, f"has the reduction {reduction!r}, unknown to ONNX.")
    target = tf.cast(target, tf.int64)
    ignored = None
    if "ignore_index" in node.attrs:
        ignored = tf.equal(target, tf.constant(node.attrs["ignore_index"], tf.int64))
        target = tf.compat.v1.where(ignored, tf.zeros_like(target), target)
    loss = -_picked(scores, target)
    weights = None if weight is None else tf.gather(weight, target)
    if ignored is not None:
        ones = tf.ones_like(loss) if weights is None else weights
        weights = tf.compat.v1.where(ignored, tf.zeros_like(ones), ones)
        loss = tf.compat.v1.where(ignored, tf.zeros_like(loss), loss)
    if weights is not None:
        loss = loss * weights
    if reduction == "none":
        return loss
    if reduction == "mean" and weights is None:
        return tf.reduce_mean(loss)
    total = tf.reduce_sum(loss)
    return total if reduction == "sum" else total / tf.reduce_sum(weights)


def _picked(scores: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Return scores[n, target[n, ...], ...] by one gather from the scores in their memory order."""
    batch, classes, *inner = sizes_of(scores, tf.int64)
    size = product(inner)
    rows = tf.expand_dims(tf.range(tf.cast(batch, tf.int64), dtype=tf.int64), 1)
    columns = tf.expand_dims(tf.range(tf.cast(size, tf.int64), dtype=tf.int64), 0)
    shape = vector([batch, size], tf.int64)
    index = (rows * classes + tf.reshape(target, shape)) * size + columns
    picked = tf.gather(tf.reshape(scores, [-1]), index)
    return tf.reshape(picked, vector([batch, *inner], tf.int64))
