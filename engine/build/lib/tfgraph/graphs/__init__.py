"""Graphs of TensorFlow as values: read, written, ordered, run."""
