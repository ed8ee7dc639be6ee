"""PyTorch ⇄ ONNX: compared export, checkpoints, import.

Importing this package does not import torch. That happens at the first use of a name.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "checkpoints.loading": ("Checkpoint", "load_checkpoint"),
    "exporting.export": ("Export", "export_onnx"),
    "importing.imported": ("Imported", "import_onnx", "preflight_import"),
    "importing.saved": ("load_imported", "save_imported"),
    "modules.activations": ("record_activations",),
    "modules.forward": ("run_torch",),
}


def __getattr__(name: str) -> Any:
    """Import a name of this package from its module (PEP 562)."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
