"""The names of the engine's `onnxgraph`, under the path that scripts use."""

from onnxgraph import *  # noqa: F403
from onnxgraph import __all__ as __all__
