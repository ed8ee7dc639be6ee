"""Watch a running notebook: show its stage, and stop a cell that makes no progress.

papermill's client stops a cell after a fixed time. This one checks every second whether the cell
has printed something, reached another stage or computed. It stops the cell only if it has not.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellTimeoutError
from papermill.clientwrap import PapermillNotebookClient

from graphcore.machine import usage
from graphcore.time_limits import Patience


class Stuck(CellTimeoutError):
    """A cell has made no progress for as long as its limit allows."""


class Watch:
    """The state of the running cell: its stage, and how long it has made no progress."""

    def __init__(self, file: Path, *, limit: float, on_stage: Callable[[str], None]) -> None:
        """Watch the file that `progress` writes. A cell may take `limit` seconds without
        progress."""
        self.file = file
        self._on_stage = on_stage
        self._patience, self._stage, self._moved = Patience(limit), "", True

    def moved(self) -> None:
        """Note that a cell began or printed something."""
        self._moved = True

    def look(self, pid: int) -> None:
        """Look at a kernel's process and at its stage.

        Raises:
            Stuck: the cell has made no progress for too long.
        """
        stage = self.file.read_text(encoding="utf-8") if self.file.exists() else ""
        computed = usage(pid).seconds
        if self._moved or stage != self._stage:
            self._moved, self._stage = False, stage
            self._patience.moved(computed)
            self._on_stage(stage)
        elif self._patience.is_over(computed):
            raise Stuck(f"it made no progress for {self._patience.limit:g} s")


class WatchedClient(PapermillNotebookClient):
    """papermill's client with a cell limit of one second, after which it looks at the cell."""

    def __init__(self, nb_man: Any, *, watch: Watch, **options: Any) -> None:
        """Take papermill's notebook manager and options."""
        super().__init__(nb_man, timeout=1, **options)
        self._watch = watch

    def process_message(self, *arguments: Any, **options: Any) -> Any:
        """Handle a message of the kernel: an output, or the beginning or end of a cell."""
        self._watch.moved()
        return super().process_message(*arguments, **options)

    async def _async_handle_timeout(self, timeout: int, cell: Any = None) -> None:
        assert self.km is not None
        await asyncio.sleep(timeout / 2)  # a late reply to something else makes the next limit 0
        self._watch.look(self.km.provisioner.pid)
