"""The activations that RNN, GRU and LSTM may name."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf

from tfgraph.handlers.registry import Node, refusal

Activation: TypeAlias = Callable[[tf.Tensor], tf.Tensor]

_NUMBERS: dict[str, list[float | None]] = {
    "affine": [None, None],
    "leakyrelu": [0.01],
    "thresholdedrelu": [None],
    "scaledtanh": [None, None],
    "hardsigmoid": [0.2, 0.5],
    "elu": [1.0],
}
"""The defaults of alpha, and of beta, for activations with them. None where runtimes disagree."""

_FUNCTIONS: dict[str, Callable[..., tf.Tensor]] = {
    "Relu": tf.nn.relu,
    "Tanh": tf.tanh,
    "Sigmoid": tf.sigmoid,
    "Softsign": tf.nn.softsign,
    "Softplus": tf.nn.softplus,
    "Affine": lambda x, alpha, beta: alpha * x + beta,
    "LeakyRelu": lambda x, alpha: tf.compat.v1.where(x < 0, alpha * x, x),
    "ThresholdedRelu": lambda x, alpha: tf.compat.v1.where(x > alpha, x, tf.zeros_like(x)),
    "ScaledTanh": lambda x, alpha, beta: alpha * tf.tanh(beta * x),
    "HardSigmoid": lambda x, alpha, beta: tf.minimum(tf.nn.relu(alpha * x + beta), 1),
    "Elu": lambda x, alpha: tf.nn.elu(x) if alpha == 1 else _elu(x, alpha),
}

_BY_LOWER_NAME = {name.lower(): function for name, function in _FUNCTIONS.items()}


def activations(
    node: Node, defaults: Sequence[str], directions: int, *, clipped: int
) -> list[list[Activation]]:
    """Return the activations of each direction. The first `clipped` of them clip their input.

    The numbers of `activation_alpha` and `activation_beta` belong, in order, to the activations
    that take one.
    """
    given = node.attrs.get("activations", [])
    names = [name.decode() for name in given] or list(defaults) * directions
    if len(names) != len(defaults) * directions:
        raise refusal(
            node,
            f"names {len(names)} activations and needs {len(defaults) * directions}; write all "
            "of them or none.",
        )
    alphas = list(node.attrs.get("activation_alpha", []))
    betas = list(node.attrs.get("activation_beta", []))
    size, clip = len(defaults), node.attrs.get("clip")
    found = []
    for index, name in enumerate(names):
        function = _activation(node, name, alphas, betas)
        found.append(function if clip is None or index % size >= clipped else _clip(function, clip))
    return [found[start : start + size] for start in range(0, len(found), size)]


def _activation(node: Node, name: str, alphas: list[float], betas: list[float]) -> Activation:
    function = _BY_LOWER_NAME.get(name.lower())
    if function is None:
        raise refusal(
            node,
            f"has the activation {name!r}, which ONNX does not define for it; use another of "
            f"{', '.join(_FUNCTIONS)}.",
        )
    numbers = [
        given.pop(0) if given else default
        for given, default in zip((alphas, betas), _NUMBERS.get(name.lower(), []), strict=False)
    ]
    if None in numbers:
        raise refusal(
            node,
            f"has the activation {name!r} without its numbers, for which runtimes have different "
            "defaults; write activation_alpha and activation_beta.",
        )
    return lambda x: function(x, *numbers)


def _clip(function: Activation, clip: float) -> Activation:
    return lambda x: function(tf.minimum(tf.maximum(x, -clip), clip))


def _elu(x: tf.Tensor, alpha: float) -> tf.Tensor:
    return tf.nn.relu(x) + alpha * (tf.exp(tf.minimum(x, 0)) - 1)
