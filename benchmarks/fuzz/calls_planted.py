"""Planted faults, one for each verdict, to test that the harness detects them (`--planted`)."""

import ctypes
import random
from pathlib import Path

import numpy as np
from verdicts import Wrong

from graphcore.errors import GraphError


def call(name: str, path: Path, rng: random.Random) -> None:
    """Cause the fault of that name, whatever the file is."""
    if name == "planted foreign":
        raise KeyError("x")
    if name == "planted long":
        error = GraphError()
        error.args = ("x" * 2000,)
        raise error
    if name == "planted wrong":
        raise Wrong("x")
    if name == "planted dead":
        ctypes.string_at(0)
    if name == "planted memory":
        np.ones(2**33)
    while name == "planted hang":
        pass
