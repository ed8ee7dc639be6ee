"""The command line `onnxgraph`: every verb that takes a file and gives a file or a report."""

from onnxgraph.commandline import (  # noqa: F401
    editing,
    looking,
    lowering,
    repairing,
    running,
    simplifying,
    sizing,
)
from onnxgraph.commandline.program import main, program

__all__ = ["main", "program"]
