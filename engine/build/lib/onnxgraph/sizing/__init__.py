"""Sizes of a graph: a dynamic batch, dims that are fixed and freed, each proven."""
