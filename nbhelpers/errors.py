"""The names of `graphcore.errors`, under the path that scripts use."""

from graphcore.errors import *  # noqa: F403
