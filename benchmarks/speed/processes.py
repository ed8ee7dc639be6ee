"""Run the Pythons of the environments, one task a process, and watch their memory."""

import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUT = ROOT / "build" / "bench"
MODELS = OUT / "models"

INTERVAL = 0.005
"""Seconds between two looks at the memory."""


def python(environment):
    """Return the interpreter of an environment under `.envs`.

    Raises:
        SystemExit: the environment does not exist.
    """
    path = ROOT / ".envs" / environment / "bin" / "python"
    if not path.exists():
        raise SystemExit(
            f"There is no environment {environment}: run `make bench`, or "
            f"`python environments/setup.py {environment}`."
        )
    return path


@dataclass(frozen=True)
class Done:
    """The last line of a task as JSON, or the last words of its failure, and its peak memory."""

    said: dict
    megabytes: float
    failed: str = ""


def task(environment, script, *arguments, timeout=1800, cwd=None):
    """Run `script` in a process of its own until it ends.

    The memory is the largest sum, over time, of the private memory of the process and its children,
    and of their shared libraries, counted once.
    """
    command = [python(environment), HERE / script, *arguments]
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ(),
        cwd=cwd or OUT,
    )
    watch = Watch(process.pid)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Done({}, watch.stop(), f"not done after {timeout} s")
    peak = watch.stop()
    if process.returncode:
        return Done({}, peak, last_words(err) or f"ended with status {process.returncode}")
    return Done(json.loads(out.splitlines()[-1]), peak)


def environ():
    """Return the variables for a task, without those that would mislead another Python."""
    drop = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MPLBACKEND"}
    kept = {name: value for name, value in os.environ.items() if name not in drop}
    return kept | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def last_words(text):
    """Return the line of a traceback that holds the error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.split(":")[0].endswith(("Error", "Exception"))]
    return next(reversed(errors or lines), "")[:300]


class Watch:
    """Looks at a process and its children until it is stopped."""

    def __init__(self, pid):
        self.pid, self.peak, self.ended = pid, 0.0, False
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def stop(self):
        self.ended = True
        self.thread.join()
        return self.peak

    def _look(self):
        while not self.ended:
            self.peak = max(self.peak, megabytes(self.pid))
            time.sleep(INTERVAL)


def megabytes(pid):
    """Return the memory of a process and its children, or 0 on systems without /proc."""
    sizes = [_resident(each) for each in _family(pid)]
    return (sum(own for own, _ in sizes) + max((files for _, files in sizes), default=0)) / 1e3


def _family(pid):
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return [pid]
    children = [int(child) for child in text.split()]
    # Until a child starts its own program, it shows its parent's memory once more.
    others = [child for child in children if _program(child) != _program(pid)]
    return [pid, *(each for child in others for each in _family(child))]


def _program(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _resident(pid):
    """Return the memory in kB, as (private, of files)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    return (
        int(sizes.get("RssAnon", 0)) + int(sizes.get("RssShmem", 0)),
        int(sizes.get("RssFile", 0)),
    )
