"""The names of `onnxgraph.shared.dims`, under the path that scripts use."""

from onnxgraph.shared.dims import *  # noqa: F403
