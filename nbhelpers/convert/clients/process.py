"""A program with a time limit: how it ended, in words, whatever native code did in it."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from nbhelpers.convert.proving import runtimes

# A thread that spins while it waits takes the processor from those that work.
_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
}


def ended(command: Sequence[str], *, log: Path, timeout: float, threads: int) -> str:
    """Run a command and return what went wrong with it, in words, or "".

    Args:
        command: the program and its arguments.
        log: the file that gets what it prints.
        timeout: seconds after which it is stopped, and what it had started with it.
        threads: told to the libraries that ask the environment.
    """
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    env = runtimes.clean_environment() | dict.fromkeys(names, str(threads)) | _ENVIRONMENT
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            return f"gave no answer in {timeout:g} s"
        finally:
            _stop(process)
    if status < 0:
        return f"crashed ({signal.Signals(-status).name})"
    return f"ended with status {status}: {last_line(log)}" if status else ""


def last_line(log: Path) -> str:
    """Return the last line that was printed."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _stop(process: subprocess.Popen) -> None:
    """End the process and all that it had started, if they still run."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
