"""The names of `onnxgraph.shared.golden`, under the path that scripts use."""

from onnxgraph.shared.golden import *  # noqa: F403
