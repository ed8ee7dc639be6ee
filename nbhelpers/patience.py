"""How long a process is waited for: its limit counts what the machine gave it.

On a busy machine work takes longer in proportion. So a process has used its limit when that many
seconds have passed and it computed for as long, or computed nothing: then it hangs.
"""

import contextlib
import time
from dataclasses import dataclass, field

import psutil

IDLE = 0.05
"""A process that uses less of one processor than this share waits for something."""

LONGEST = 20
"""So many times its limit nothing is waited for."""


@dataclass
class Usage:
    """What a process and all that it has started use."""

    seconds: float = 0.0
    memory: int = 0


def usage(pid: int) -> Usage:
    """Return the processor seconds and the bytes of memory of a process and its descendants."""
    found = Usage()
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                found.seconds += sum(each.cpu_times()[:4])
                found.memory += each.memory_info().rss
    return found


@dataclass
class Patience:
    """Waits for a process up to `limit` seconds; each sign of progress begins them anew."""

    limit: float
    _since: float = field(default_factory=lambda: time.monotonic())
    _before: float = 0.0

    def moved(self, computed: float) -> None:
        """Note a sign of progress, at `computed` processor seconds of the process."""
        self._since, self._before = time.monotonic(), computed

    def is_over(self, computed: float) -> bool:
        """Whether the limit is used up, at `computed` processor seconds of the process."""
        passed, worked = time.monotonic() - self._since, computed - self._before
        if passed < self.limit:
            return False
        return worked >= self.limit or worked < IDLE * passed or passed >= LONGEST * self.limit
