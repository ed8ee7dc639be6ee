"""How much memory one tensor may take: beyond that the system would end the whole process."""

import os

SHARE = 4
"""A tensor may take one part in so many of the machine's memory."""


def largest_tensor() -> int:
    """Return the bytes that a tensor may take."""
    return _memory() // SHARE


def _memory() -> int:
    """Return the bytes of this machine's memory (16 GiB where the system does not say)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**34
