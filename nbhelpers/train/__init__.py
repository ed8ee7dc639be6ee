"""torch only: sample models, checkpoints, export to ONNX, and the golden cases recorded from
torch.
"""

from nbhelpers.train.activations import record_activations
from nbhelpers.train.checkpoint import Checkpoint, load_checkpoint
from nbhelpers.train.export import Export, export_onnx
from nbhelpers.train.forward import run_torch
from nbhelpers.train.picture import Preprocessing, copy_photograph, fitting
from nbhelpers.train.record import record_golden
from nbhelpers.train.source import ModelSource, load_model

__all__ = [
    "Checkpoint",
    "Export",
    "ModelSource",
    "Preprocessing",
    "copy_photograph",
    "export_onnx",
    "fitting",
    "load_checkpoint",
    "load_model",
    "record_activations",
    "record_golden",
    "run_torch",
]
