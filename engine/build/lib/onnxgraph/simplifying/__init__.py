"""Simplify a graph in a process of its own, until nothing changes, and roll back what is wrong."""
