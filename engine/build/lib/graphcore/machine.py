"""What this machine has free, and what a process uses of it."""

import contextlib
import itertools
from dataclasses import dataclass
from pathlib import Path

import psutil

GB = 1e9

_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Where a container says how much memory it may use, and how much it does."""

_KILLED = (
    "/proc/vmstat",
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/memory/memory.oom_control",
)
"""Where Linux counts the processes that it ended because memory ran out, after `oom_kill`."""


@dataclass
class Usage:
    """What a process and all that it has started use: processor seconds, bytes of memory."""

    seconds: float = 0.0
    memory: int = 0


def usage(pid: int) -> Usage:
    """Return what a process and its descendants use; nothing if it has ended."""
    found = Usage()
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                found.seconds += sum(each.cpu_times()[:4])
                found.memory += each.memory_info().rss
    return found


def total_memory() -> int:
    """Return the bytes of this machine's memory."""
    return psutil.virtual_memory().total


def free_memory() -> int:
    """Return the bytes that can still be used, of the machine or of the container."""
    free = [psutil.virtual_memory().available]
    for limit, used in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # not there, or "max"
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
    return max(0, min(free))


def killed_for_memory() -> int:
    """Return how many processes Linux has ended because memory ran out; 0 elsewhere."""
    count = 0
    for path in _KILLED:
        with contextlib.suppress(OSError):
            words = Path(path).read_text().split()
            pairs = itertools.pairwise(words)
            count += sum(int(number) for name, number in pairs if name == "oom_kill")
    return count
