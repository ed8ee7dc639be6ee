"""The names of `onnxgraph.shared.spec`, under the path that scripts use."""

from onnxgraph.shared.spec import *  # noqa: F403
