"""torch only: sample models, checkpoints, export to ONNX and import from it, and the golden cases
recorded from torch.
"""

from nbhelpers import kernel

if not kernel.has("torch"):
    kernel.require("train")  # says so, and what to do

from nbhelpers.train.activations import record_activations
from nbhelpers.train.checkpoints.loading import Checkpoint, load_checkpoint
from nbhelpers.train.export import Export, export_onnx
from nbhelpers.train.forward import run_torch
from nbhelpers.train.importing.imported import Imported, import_onnx, preflight_import
from nbhelpers.train.importing.saved import load_imported, save_imported
from nbhelpers.train.picture import Preprocessing, copy_photograph, fitting
from nbhelpers.train.record import record_golden
from nbhelpers.train.source import ModelSource, load_model

__all__ = [
    "Checkpoint",
    "Export",
    "Imported",
    "ModelSource",
    "Preprocessing",
    "copy_photograph",
    "export_onnx",
    "fitting",
    "import_onnx",
    "load_checkpoint",
    "load_imported",
    "load_model",
    "preflight_import",
    "record_activations",
    "record_golden",
    "run_torch",
    "save_imported",
]
