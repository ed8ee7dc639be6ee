"""The names of `graphcore.parity`, under the path that scripts use."""

from graphcore.parity import *  # noqa: F403
