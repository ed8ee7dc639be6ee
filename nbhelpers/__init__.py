"""nbhelpers: take a trained PyTorch model to any TensorFlow from 1.4 to today's, and prove it.

Rooms: `kernel`, `spec`, `parity`, `golden`, `handoff` (no framework), `onnxgraph` (ONNX to ONNX),
`train` (torch only), `convert` (TensorFlow only), `ui` (what a person sees).
"""

__version__ = "0.1.0"
