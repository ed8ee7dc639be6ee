"""The TensorFlows that are installed beside this one, and graphs that run in them."""
