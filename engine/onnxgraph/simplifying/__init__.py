"""Simplify a graph in its own process until nothing changes, and undo it if the result is wrong."""
