"""TensorFlow's Grappler, offline and in a process of its own."""
