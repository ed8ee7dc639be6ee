"""PyTorch modules: called, isolated, copied, watched."""
