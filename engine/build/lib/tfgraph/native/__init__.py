"""TensorFlow's native library in processes of its own."""
