"""A process group that ends with the process that started it, even if that process is killed.

A guard leads the group. It reads from a pipe that only this process can write to, so the pipe
closes when this process ends. Then the guard kills the whole group, including itself. The guard
also keeps the group's number in use, so that no signal can reach other processes.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from typing import Any

_GUARD = ("/bin/sh", "-c", "read -r _; kill -9 0")


class ProcessGroup:
    """One program and all that it starts.

    On Windows it is only the program, because Windows has no process groups.
    """

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        """Start the program. `options` are those of `subprocess.Popen`.

        Raises:
            OSError: the program cannot be started.
        """
        self._owner, self._lock = os.getpid(), threading.Lock()
        self._guard: subprocess.Popen | None = None
        if hasattr(os, "killpg"):
            nowhere = subprocess.DEVNULL
            self._guard = subprocess.Popen(
                _GUARD, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, process_group=0
            )
            options["process_group"] = self._guard.pid
        try:
            self.process = subprocess.Popen(command, **options)
        except BaseException:
            if self._guard is not None:
                self._kill()
            raise

    def end(self) -> None:
        """Kill the whole group and wait for the program.

        In a fork of its owner, do nothing.
        """
        if os.getpid() == self._owner:
            self._kill()
            self.process.wait()

    def release(self) -> None:
        """End the group and close the pipes of the program, which are no longer read."""
        if os.getpid() == self._owner:
            self.end()
            with contextlib.suppress(BrokenPipeError), self.process:
                pass

    def _kill(self) -> None:
        with self._lock:  # the watching thread may have killed it already
            if self._guard is None:
                self.process.kill()
            elif self._guard.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
                    os.killpg(self._guard.pid, signal.SIGKILL)
                with self._guard:  # closes the guard's pipe, and waits for it
                    pass
