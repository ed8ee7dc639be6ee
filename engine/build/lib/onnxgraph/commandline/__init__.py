"""The command line `onnxgraph`: every verb that takes a file and gives a file or a report."""

from onnxgraph.commandline import editing, looking, repairing, running, sizing  # noqa: F401
from onnxgraph.commandline.program import main, program

__all__ = ["main", "program"]
