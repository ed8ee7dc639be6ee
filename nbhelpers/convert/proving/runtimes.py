"""The names of `tfgraph.runtimes.runtimes`, under the path that scripts use."""

from tfgraph.runtimes.runtimes import *  # noqa: F403
