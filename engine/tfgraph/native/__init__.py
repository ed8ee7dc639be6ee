"""TensorFlow's native library in separate processes."""
