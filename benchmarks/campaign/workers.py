"""Processes that run models. Each runtime has one, which is restarted when a model ends it."""

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from graphcore import environments
from graphcore.line_process import LineProcess
from graphcore.worker_process import Ended
from tfgraph.runtimes.runtimes import clean_environment

HERE = Path(__file__).resolve().parent
LIMIT = 240
"""Seconds that a model may take."""


class Failed(Exception):
    """The worker reported an error."""


@dataclass
class Worker:
    """A process that answers requests, each a folder of files."""

    environment: str
    script: str
    variables: dict[str, str] = field(default_factory=dict)
    _process: LineProcess | None = None
    _line_of_requests: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def ask(self, files: dict[str, bytes], request: dict, runs: list[dict]) -> list[dict]:
        """Return the outputs of each run by name.

        Args:
            files: name → content of the files that the worker reads.
            request: what the worker does with them.
            runs: the arrays of each run by name.

        Raises:
            Failed: the worker reported an error.
            Ended: the process ended or did not answer in time.
        """
        return self.begin(files, request, runs)()

    def begin(
        self, files: dict[str, bytes], request: dict, runs: list[dict]
    ) -> Callable[[], list[dict]]:
        """Start the work of `ask`, and return a function that waits for the outputs.

        The arguments are those of `ask`. The waiting thread reads the outputs, because Python 3.11
        cannot parse headers in two threads at once.
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
        try:
            return self._started().ask(request, timeout=LIMIT)
        except Ended:
            self._process = None
            raise

    def _started(self) -> LineProcess:
        if self._process is None:
            python = environments.python(self.environment)
            if not python.exists():
                raise SystemExit(f"There is no {python}: run `make setup legacy`.")
            self._process = LineProcess(
                [python, "-W", "ignore", HERE / self.script],
                env={**clean_environment(), **_QUIET, **self.variables},
                cwd=HERE,
            )
        return self._process


_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
_QUIET["PYTHONPATH"] = os.environ.get("PYTHONPATH", str(HERE.parents[1]))
