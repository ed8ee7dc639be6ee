"""How long to wait for a process, in seconds of actual work rather than of the clock.

On a busy machine the same work takes longer. So a process has used up its limit after that many
seconds of the clock if it also computed for that long. It counts as hanging if it computed nothing
for that long. All limits are multiplied by $NBHELPERS_PATIENCE, if that is set.
"""

import contextlib
import math
import os
import time

from graphcore.errors import Refusal

IDLE = 0.05
"""A process that uses a smaller share of one processor than this is idle."""

LONGEST = 20
"""Nothing is waited for longer than this many times its limit."""

VARIABLE = "NBHELPERS_PATIENCE"


def factor() -> float:
    """Return what all limits are multiplied by.

    Raises:
        Refusal: the variable is not a number above 0.
    """
    text = os.environ.get(VARIABLE) or "1"
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise Refusal(
        f"{VARIABLE} must be a number above 0, which limits are multiplied by, but it is {text!r}."
    )


def advice() -> str:
    """Return in words how to make all limits twice as long."""
    return f"set the environment variable {VARIABLE}={2 * factor():g} to wait twice as long"


class Patience:
    """Waits for a process up to its limit. Each sign of progress starts it again."""

    def __init__(self, limit: float, *, computed: float = 0.0) -> None:
        """Start to wait.

        Args:
            limit: seconds, before they are multiplied by `factor`.
            computed: the process's processor time so far, in seconds.
        """
        self.limit = limit * factor()
        self.moved(computed)

    def moved(self, computed: float) -> None:
        """Note a sign of progress.

        `computed` is the process's processor time so far, in seconds.
        """
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
