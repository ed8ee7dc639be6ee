"""Run, isolate, copy and observe PyTorch modules."""
