"""Free and used memory of this machine, and what one process uses."""

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
"""The files in which a container states its memory limit and its memory use."""

_KILLED = (
    "/proc/vmstat",
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/memory/memory.oom_control",
)
"""Where Linux counts the processes it killed because memory ran out, after the word `oom_kill`."""


@dataclass
class Usage:
    """The use of a process and its descendants: seconds of processor time, bytes of memory."""

    seconds: float = 0.0
    memory: int = 0


def usage(pid: int) -> Usage:
    """Return what a process and its descendants use, or zeros if the process has ended."""
    found = Usage()
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):  # the process has ended meanwhile
                found.seconds += sum(each.cpu_times()[:4])
                found.memory += each.memory_info().rss
    return found


def total_memory() -> int:
    """Return the bytes of this machine's memory."""
    return psutil.virtual_memory().total


def free_memory() -> int:
    """Return the bytes of memory that are free on this machine or in this container."""
    free = [psutil.virtual_memory().available]
    for limit, used in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # the file is missing, or says "max"
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
    return max(0, min(free))


def killed_for_memory() -> int:
    """Return how many processes Linux has killed because memory ran out, or 0 on other systems."""
    count = 0
    for path in _KILLED:
        with contextlib.suppress(OSError):
            words = Path(path).read_text().split()
            pairs = itertools.pairwise(words)
            count += sum(int(number) for name, number in pairs if name == "oom_kill")
    return count
