"""A program that answers one line of JSON with another, on any Python. Arrays go through files.

`WorkerProcess` is quicker, but its worker needs the same Python and numpy as this process.
"""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphcore.processes import Program, last_line
from graphcore.worker_process import Ended


class LineProcess:
    """The program, which ends with this object. Its standard error is kept."""

    def __init__(self, command: Sequence[str | Path], **options: Any) -> None:
        """Start the program. `options` are those of `subprocess.Popen`.

        Raises:
            OSError: it cannot be started.
        """
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the program)
        pipe = subprocess.PIPE
        self._program = Program(
            command, stdin=pipe, stdout=pipe, stderr=self._log, text=True, **options
        )

    def ask(self, request: Any, *, timeout: float) -> Any:
        """Return the answer to a request.

        Args:
            request: what JSON can hold.
            timeout: the seconds it may take on an otherwise idle machine.

        Raises:
            Ended: the program has ended, or was killed because it took longer.
        """
        try:
            with self._program.watched(timeout):
                line = self._line(json.dumps(request))
        except BaseException:  # after an interruption, the next request would read this late answer
            self._program.end()
            raise
        if not line:
            raise self._ended()
        return json.loads(line)

    def _line(self, request: str) -> str:
        process = self._program.process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):  # the program ended; the missing answer shows how
            process.stdin.write(request + "\n")
            process.stdin.flush()
        return process.stdout.readline()

    def _ended(self) -> Ended:
        self._log.seek(0)
        last = last_line(self._log.read().decode(errors="replace"))
        how = self._program.ending(last) or "ended without an answer"
        said = "" if last in how else f"; it printed last: {last}"
        late = self._program.late
        return Ended(how + said, crash="" if late else self._program.crash, late=late)
