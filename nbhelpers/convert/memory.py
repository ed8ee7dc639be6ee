"""Memory that was freed, but that the C library keeps for later."""

import contextlib
import ctypes


def give_back() -> None:
    """Return freed memory to the system; elsewhere than in glibc, that happens by itself."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
