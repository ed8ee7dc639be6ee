"""What reads, checks, loads and opens SavedModels, under the path that scripts use."""

from tfgraph.savedmodels.checking import *  # noqa: F403
from tfgraph.savedmodels.loading import *  # noqa: F403
from tfgraph.savedmodels.opening import *  # noqa: F403
from tfgraph.savedmodels.reading import *  # noqa: F403
