"""How long to wait for a process, in seconds of actual work rather than of the clock.

On a busy machine the same work takes longer. So a process has used up its limit after that many
seconds of the clock if it also computed for that long. It counts as hanging if it computed nothing
for that long.
"""

import time

IDLE = 0.05
"""A process that uses a smaller share of one processor than this is idle."""

LONGEST = 20
"""Nothing is waited for longer than this many times its limit."""


class Patience:
    """Waits for a process up to `limit` seconds. Each sign of progress starts them again."""

    def __init__(self, limit: float, *, computed: float = 0.0) -> None:
        """Start to wait. `computed` is the process's processor time so far, in seconds."""
        self.limit = limit
        self.moved(computed)

    def moved(self, computed: float) -> None:
        """Note a sign of progress. `computed` is the process's processor time so far, in
        seconds."""
        self._since = self._active = self._looked = time.monotonic()
        self._before = self._seen = computed

    def is_over(self, computed: float) -> bool:
        """Whether the limit is used up. `computed` is the process's processor time, in seconds."""
        now = time.monotonic()
        if computed - self._seen > IDLE * (now - self._looked):
            self._active = now
        self._looked, self._seen = now, computed
        passed, worked = now - self._since, computed - self._before
        if passed < self.limit:
            return False
        idle = now - self._active
        return worked >= self.limit or idle >= self.limit or passed >= LONGEST * self.limit
