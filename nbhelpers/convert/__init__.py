"""ONNX → TensorFlow: convert, inspect, name, sign, and prove on the real runtimes.

Importing this package does not import TensorFlow. That happens at the first use.
"""

from nbhelpers.convert.clients.trial import Trial
from nbhelpers.convert.clients.trying import try_clients
from tfgraph import *  # noqa: F403
from tfgraph import __all__ as _engine

__all__ = [*_engine, "Trial", "try_clients"]
