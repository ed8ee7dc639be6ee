"""Ops that draw random numbers. They are refused, because their values cannot be compared."""

import tensorflow as tf

from onnxgraph.model.random_ops import RANDOM_OPS
from tfgraph.handlers.registry import Node, refusal, register


@register(*RANDOM_OPS)
def draw(node: Node, *inputs: tf.Tensor) -> tf.Tensor:
    """Refuse to draw, because TensorFlow's generators give other numbers for the same seed."""
    raise refusal(
        node,
        "draws random numbers, of which TensorFlow has others; export the model with these numbers "
        "as an input.",
    )
