"""Processes that run models: each runtime has one, which is started anew when a model ends it."""

import json
import os
import selectors
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from graphcore import environments
from tfgraph.runtimes.runtimes import clean_environment

HERE = Path(__file__).resolve().parent
LIMIT = 240
"""Seconds that a model may take."""


class Ended(Exception):
    """The model ended the worker, or took longer than `LIMIT`."""


class Failed(Exception):
    """The worker reported an error."""


@dataclass
class Worker:
    """A process that answers requests, each a folder of files."""

    environment: str
    script: str
    variables: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen | None = None
    _line_of_requests: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def ask(self, files: dict[str, bytes], request: dict, runs: list[dict]) -> list[dict]:
        """Return the outputs of each run by name.

        Args:
            files: name → content of the files that the worker reads.
            request: what it is to do with them.
            runs: the arrays of each run by name.

        Raises:
            Failed: the worker reported an error.
            Ended: the process ended or did not answer.
        """
        return self.begin(files, request, runs)()

    def begin(
        self, files: dict[str, bytes], request: dict, runs: list[dict]
    ) -> Callable[[], list[dict]]:
        """Begin what `ask` does, and return what waits for it; the arguments are the same.

        The outputs are read by who waits: Python 3.11 cannot parse headers in two threads at once.
        """
        folder = tempfile.TemporaryDirectory()
        home = Path(folder.name)
        for name, content in files.items():
            (home / name).write_bytes(content)
        for number, arrays in enumerate(runs):
            fed = {str(place): array for place, array in enumerate(arrays.values())}
            np.savez(home / f"in{number}.npz", **fed)
        names = [list(arrays) for arrays in runs]
        asked = self._line_of_requests.submit(
            self._asked, {**request, "folder": folder.name, "names": names}
        )

        def finish() -> list[dict]:
            with folder:
                answer = asked.result()
                if answer["error"]:
                    raise Failed(answer["error"])
                return [self._outputs(home, n, answer["outputs"]) for n in range(len(runs))]

        return finish

    def _outputs(self, home: Path, number: int, names: list[str]) -> dict[str, np.ndarray]:
        with np.load(home / f"out{number}.npz") as arrays:
            return {name: arrays[str(place)] for place, name in enumerate(names)}

    def _asked(self, request: dict) -> dict:
        process = self._started()
        try:
            process.stdin.write((json.dumps(request) + "\n").encode())
            process.stdin.flush()
            line = self._line(process)
        except BrokenPipeError:
            line = b""
        if not line:
            code = self.stop()
            raise Ended("it took too long" if code is None else f"the process ended with {code}")
        return json.loads(line)

    def _line(self, process: subprocess.Popen) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            return process.stdout.readline() if selector.select(LIMIT) else b""

    def _started(self) -> subprocess.Popen:
        if self._process is None:
            python = environments.python(self.environment)
            if not python.exists():
                raise SystemExit(f"There is no {python}: run `make setup legacy`.")
            self._process = subprocess.Popen(
                [str(python), "-W", "ignore", str(HERE / self.script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**clean_environment(), **_QUIET, **self.variables},
                cwd=HERE,
            )
        return self._process

    def stop(self) -> int | None:
        """End the process and return its exit status, None if it was still running."""
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            code = process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            code = None
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
        return code


_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
_QUIET["PYTHONPATH"] = os.environ.get("PYTHONPATH", str(HERE.parents[1]))
