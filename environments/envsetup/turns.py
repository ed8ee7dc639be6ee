"""Run one set-up of a checkout at a time. The next one waits, and prints for which process.

The operating system frees the lock when its holder ends, however it ends. The commands that a
set-up starts hold it too. So if the set-up is killed, no other one rebuilds an environment while
pip still writes to it.
"""

from __future__ import annotations

import contextlib
import os
from typing import Iterator

from .catalogue import ENVS
from .report import say


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Hold the lock of this checkout's environments, after waiting for any other holder."""
    ENVS.mkdir(parents=True, exist_ok=True)
    with (ENVS / ".lock").open("a+", encoding="utf-8") as stream:
        os.set_inheritable(stream.fileno(), True)
        if not _lock(stream.fileno(), wait=False):
            stream.seek(0)
            holder = stream.read().strip() or "?"
            say(f"waiting: another set-up of this checkout (process {holder}) is at work …")
            _lock(stream.fileno(), wait=True)
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        yield


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Lock an open file for this process.

    Return False if another process holds it and `wait` is false.
    """
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        if wait:
            raise
        return False
    return True
