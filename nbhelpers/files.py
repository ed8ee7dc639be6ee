"""The names of `graphcore.atomic_files`, under the path that scripts use."""

from graphcore.atomic_files import *  # noqa: F403
