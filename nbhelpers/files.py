"""The names of `graphcore.durable`, under the path that scripts use."""

from graphcore.durable import *  # noqa: F403
