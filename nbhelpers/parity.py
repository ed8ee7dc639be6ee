"""The names of `onnxgraph.shared.parity`, under the path that scripts use."""

from onnxgraph.shared.parity import *  # noqa: F403
