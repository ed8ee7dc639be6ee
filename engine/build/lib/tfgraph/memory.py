"""Memory that is no longer needed, but that Python or the C library keeps for later."""

import contextlib
import ctypes
import gc


def give_back() -> None:
    """Return freed memory to the system; elsewhere than in glibc, that happens by itself.

    Graphs of TensorFlow are cycles of objects. Only young ones are looked for, which is quick: the
    oldest generation holds all modules.
    """
    gc.collect(1)
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
