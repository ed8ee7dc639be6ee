"""How much memory one tensor may take: beyond that the system would end the whole process."""

from graphcore.machine import total_memory

SHARE = 4
"""A tensor may take one part in so many of the machine's memory."""


def largest_tensor() -> int:
    """Return the bytes that a tensor may take."""
    return total_memory() // SHARE
