"""nbhelpers: take a trained PyTorch model to any TensorFlow from 1.4 to today's, and prove it.

Packages: `kernel`, `spec`, `parity`, `golden`, `handoff` (no framework), `onnxgraph` (ONNX to
ONNX), `train` (torch only), `convert` (TensorFlow only), `ui` (tables, pictures and widgets).
"""

__version__ = "0.1.0"
