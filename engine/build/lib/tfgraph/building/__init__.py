"""ONNX nodes into TensorFlow ops, named after ONNX."""
