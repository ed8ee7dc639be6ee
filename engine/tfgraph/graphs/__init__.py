"""TensorFlow graphs as values: read, write, sort and run them."""
