"""Ops that draw numbers at random: no values can be promised or compared, so they are refused."""

import tensorflow as tf

from onnxgraph.model.random_ops import RANDOM_OPS
from tfgraph.handlers.registry import Node, refusal, register


@register(*RANDOM_OPS)
def draw(node: Node, *inputs: tf.Tensor) -> tf.Tensor:
    """Refuse to draw: TensorFlow has other generators, and other numbers for the same seed."""
    raise refusal(
        node,
        "draws random numbers, of which TensorFlow has others; export the model with these numbers "
        "as an input.",
    )
