"""Build TensorFlow ops, named after ONNX, from ONNX nodes."""
