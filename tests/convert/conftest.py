"""Fixtures for the tests of `convert`: a small network, and the legacy runtimes."""

import os

import pytest

from tests.convert.models import NETWORK, parse, seeded
from tfgraph.runtimes import runtimes


@pytest.fixture(scope="session")
def legacy():
    """The three legacy runtimes, oldest first. A machine without them fails in CI."""
    missing = runtimes.missing()
    if missing:
        sentence = f"The runtimes {', '.join(missing)} are not installed: run `make legacy`."
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return [each for each in runtimes.runtimes() if each.name != "tf2"]


@pytest.fixture(scope="session")
def network():
    """A small convolutional network: padded pooling, a residual sum, two heads, awkward names."""
    return parse(
        NETWORK,
        w1=seeded(8, 3, 3, 3, seed=1),
        b1=seeded(8, seed=2),
        w2=seeded(8, 8, 3, 3, seed=3) / 8,
        b2=seeded(8, seed=4),
        w3=seeded(4, 8, seed=5),
        b3=seeded(4, seed=6),
        w4=seeded(2, 8, seed=7),
        b4=seeded(2, seed=8),
    )
