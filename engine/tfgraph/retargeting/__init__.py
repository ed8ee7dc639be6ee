"""Rewrite graphs for older TensorFlows."""
