"""The names of `onnxgraph.shared.errors`, under the path that scripts use."""

from onnxgraph.shared.errors import *  # noqa: F403
