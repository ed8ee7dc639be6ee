"""ONNX's operators that draw numbers at random, so that two runs differ."""

RANDOM_OPS = frozenset({"Bernoulli", "Multinomial"}).union(
    f"Random{kind}{like}" for kind in ("Normal", "Uniform") for like in ("", "Like")
)
"""A Dropout that is training is not among them."""
