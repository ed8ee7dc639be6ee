"""The other TensorFlows that are installed on this machine, and graphs that run in them."""
