"""The names of `onnxgraph.shared.texts`, under the path that scripts use."""

from onnxgraph.shared.texts import *  # noqa: F403
