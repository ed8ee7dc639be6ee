"""TensorFlow → ONNX: read a model, choose what goes in and out, write it with tf2onnx, compare."""
