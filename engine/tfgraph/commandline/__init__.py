"""The command line `tfgraph`: ONNX to TensorFlow and back, names, signatures, runs, comparisons."""

from tfgraph.commandline import comparing, converting, looking, serving  # noqa: F401
from tfgraph.commandline.program import main, program

__all__ = ["main", "program"]
