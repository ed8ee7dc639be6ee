"""An ONNX model as it is: reading, its parts, what flows where."""
