"""Optimise with TensorFlow's Grappler, before the graph is saved and in a separate process."""
