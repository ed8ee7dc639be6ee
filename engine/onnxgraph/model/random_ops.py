"""ONNX's operators that draw random numbers, so two runs give different values."""

RANDOM_OPS = frozenset({"Bernoulli", "Multinomial"}).union(
    f"Random{kind}{like}" for kind in ("Normal", "Uniform") for like in ("", "Like")
)
"""A Dropout in training mode draws random numbers too, but is not listed."""
