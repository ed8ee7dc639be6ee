"""The names of `graphcore.spec`, under the path that scripts use."""

from graphcore.spec import *  # noqa: F403
