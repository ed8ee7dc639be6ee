"""The most memory one tensor may take, because the system kills a process that takes too much."""

from graphcore.machine import total_memory

SHARE = 4
"""A tensor may take this fraction of the machine's memory: one quarter."""


def largest_tensor() -> int:
    """Return the most bytes that a tensor may take."""
    return total_memory() // SHARE
