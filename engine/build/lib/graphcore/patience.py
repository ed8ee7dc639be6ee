"""How long a process is waited for: its limit counts what the machine gave it.

On a busy machine work takes longer in proportion. So a process has used its limit when that many
seconds have passed and it computed for as long, or computed nothing for as long: then it hangs.
"""

import time

IDLE = 0.05
"""A process that uses less of one processor than this share waits for something."""

LONGEST = 20
"""So many times its limit nothing is waited for."""


class Patience:
    """Waits for a process up to `limit` seconds; each sign of progress begins them anew."""

    def __init__(self, limit: float, *, computed: float = 0.0) -> None:
        """Begin, at `computed` processor seconds of the process."""
        self.limit = limit
        self.moved(computed)

    def moved(self, computed: float) -> None:
        """Note a sign of progress, at `computed` processor seconds of the process."""
        self._since = self._active = self._looked = time.monotonic()
        self._before = self._seen = computed

    def is_over(self, computed: float) -> bool:
        """Whether the limit is used up, at `computed` processor seconds of the process."""
        now = time.monotonic()
        if computed - self._seen > IDLE * (now - self._looked):
            self._active = now
        self._looked, self._seen = now, computed
        passed, worked = now - self._since, computed - self._before
        if passed < self.limit:
            return False
        idle = now - self._active
        return worked >= self.limit or idle >= self.limit or passed >= LONGEST * self.limit
