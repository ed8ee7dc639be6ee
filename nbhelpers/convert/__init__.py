"""ONNX → TensorFlow: convert, look inside, give names, sign, prove on the real runtimes.

TensorFlow is imported when it is first needed, not by importing this package.
"""

from nbhelpers.convert.clients.trial import Trial
from nbhelpers.convert.clients.trying import try_clients
from tfgraph import *  # noqa: F403
from tfgraph import __all__ as _engine

__all__ = [*_engine, "Trial", "try_clients"]
