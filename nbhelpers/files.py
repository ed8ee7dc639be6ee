"""The names of `onnxgraph.shared.durable`, under the path that scripts use."""

from onnxgraph.shared.durable import *  # noqa: F403
