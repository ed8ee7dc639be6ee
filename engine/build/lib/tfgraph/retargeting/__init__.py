"""Graphs for older TensorFlows."""
