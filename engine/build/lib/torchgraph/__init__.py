"""PyTorch ⇄ ONNX: export that is compared, checkpoints, import."""

from torchgraph.checkpoints.loading import Checkpoint, load_checkpoint
from torchgraph.exporting.export import Export, export_onnx
from torchgraph.importing.imported import Imported, import_onnx, preflight_import
from torchgraph.importing.saved import load_imported, save_imported
from torchgraph.modules.activations import record_activations
from torchgraph.modules.forward import run_torch

__all__ = [
    "Checkpoint",
    "Export",
    "Imported",
    "export_onnx",
    "import_onnx",
    "load_checkpoint",
    "load_imported",
    "preflight_import",
    "record_activations",
    "run_torch",
    "save_imported",
]
