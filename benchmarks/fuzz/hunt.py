"""The driver: run each case in a worker of its environment, and replace a worker that ended."""

import json
import os
import re
import shutil
from pathlib import Path

from cases import drawn
from entries import Entry
from record import Seen
from verdicts import OWN

from graphcore import environments
from graphcore.worker_process import Ended, WorkerProcess

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

START = 120
"""Additional seconds for the first case of a worker, which waits for the frameworks."""

_QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "engine")]),
}


class Hunt:
    """Runs cases, each for at most `limit` seconds.

    The files of a case are in a folder below `folder`.
    """

    def __init__(self, folder: Path, *, seed: int, limit: float) -> None:
        """Prepare the workers. Each starts when it is first needed."""
        self.folder, self.seed, self.limit = folder, seed, limit
        self._workers: dict[str, WorkerProcess] = {}

    def case(self, number: int, entries: tuple[Entry, ...]) -> Seen:
        """Run one case and return the result.

        Its files stay in the folder that `Seen` names.
        """
        entry = drawn(self.seed, number, entries)
        home = self.folder / entry.environment
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        request = {"seed": self.seed, "number": number, "entry": entry.name, "folder": str(home)}
        answer = self._asked(entry, {**request, "limit": self.limit}, home)
        return Seen(number=number, entry=entry.name, folder=home, **answer)

    def _asked(self, entry: Entry, request: dict, home: Path) -> dict:
        try:
            return self._worker(entry.environment).ask(request, timeout=self.limit + START)
        except Ended as end:
            return _ended(home, end)

    def _worker(self, environment: str) -> WorkerProcess:
        if environment not in self._workers:
            python = environments.python(environment)
            script = HERE / "worker.py"
            printed = {"NBHELPERS_FUZZ_PRINTED": str(self.folder / f"{environment}.txt")}
            self._workers[environment] = WorkerProcess(
                script, variables=_QUIET | printed, python=python
            )
        return self._workers[environment]


def _ended(home: Path, end: Ended) -> dict:
    """Return the verdict on a case that ended the worker, from the files that the case left."""
    about = home / "about.json"
    made = json.loads(about.read_text()) if about.is_file() else {"model": "", "damage": ""}
    printed = home.with_suffix(".txt")
    said = printed.read_text(errors="replace") if printed.is_file() else str(end)
    if not made["model"]:
        raise SystemExit(f"The worker of {home.name} ended before it made the case:\n{said}")
    frames = re.findall(rf'File "\S*?/((?:{"|".join(OWN)})/\S+)", line (\d+) in (\S+)', said)
    place = "{}:{} {}".format(*frames[0]) if frames else ""
    stopped = end.late or "Timeout (" in said
    memory = re.search("bad_alloc|Cannot allocate memory|out of memory", said)
    verdict = "memory" if memory else "hang" if stopped else "dead"
    kind = "" if stopped else end.crash
    return {"verdict": verdict, "kind": kind, "place": place, "words": said[:2000], **made}
