"""torch only: sample models, checkpoints, export to ONNX, import from ONNX, and the golden cases
that torch computes.
"""

from nbhelpers import kernel

if not kernel.has("torch"):
    kernel.require("train")  # raises an error that says what to do

from nbhelpers.train.picture import Preprocessing, copy_photograph, fitting
from nbhelpers.train.record import record_golden
from nbhelpers.train.source import ModelSource, load_model
from torchgraph import *  # noqa: F403
from torchgraph import __all__ as _engine

__all__ = [
    *_engine,
    "ModelSource",
    "Preprocessing",
    "copy_photograph",
    "fitting",
    "load_model",
    "record_golden",
]
