"""An ONNX model itself: reading, its parts, its dataflow."""
