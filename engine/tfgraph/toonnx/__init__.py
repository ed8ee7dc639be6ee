"""TensorFlow → ONNX: read a model, choose inputs and outputs, write it with tf2onnx, compare."""
