"""The names of `tfgraph.savedmodels.reading`, under the path that scripts use."""

from tfgraph.savedmodels.reading import *  # noqa: F403
