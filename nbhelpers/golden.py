"""The names of `graphcore.golden`, under the path that scripts use."""

from graphcore.golden import *  # noqa: F403
