"""Names of nodes and tensors: those that TensorFlow allows, and those of ONNX."""
