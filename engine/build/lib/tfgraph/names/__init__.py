"""Names of nodes and tensors: those that TensorFlow takes, and those of ONNX."""
