"""Free memory that is no longer needed but that Python or the C library keeps for later."""

import contextlib
import ctypes
import gc


def give_back() -> None:
    """Return freed memory to the system. C libraries other than glibc do that by themselves.

    TensorFlow's graphs are cycles of objects. Only the young generations are collected, because
    that is quick: the oldest one holds all modules.
    """
    gc.collect(1)
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
