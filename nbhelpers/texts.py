"""The names of `graphcore.texts`, under the path that scripts use."""

from graphcore.texts import *  # noqa: F403
