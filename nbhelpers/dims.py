"""The names of `graphcore.dims`, under the path that scripts use."""

from graphcore.dims import *  # noqa: F403
