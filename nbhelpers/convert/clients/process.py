"""A client's process: its environment variables, and its failure in words."""

from collections.abc import Sequence
from pathlib import Path

from graphcore import processes
from tfgraph.runtimes import runtimes

# A thread that spins while it waits takes processor time from the threads that work.
_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
}


def ended(
    command: Sequence[str],
    *,
    log: Path,
    timeout: float,
    threads: int,
    needs: int = 0,
    what: str = "",
) -> str:
    """Run a command and return its failure in words, or "".

    Args:
        command: the program and its arguments.
        log: the file for everything that it prints.
        timeout: seconds after which it is killed, together with its descendants.
        threads: the number of threads, for libraries that read it from the environment.
        needs: the bytes of memory it needs (see `processes.run`).
        what: the name of the client in a warning about memory.
    """
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    env = runtimes.clean_environment() | dict.fromkeys(names, str(threads)) | _ENVIRONMENT
    done = processes.run(command, limit=timeout, env=env, needs=needs, what=what)
    log.write_text(done.output, encoding="utf-8")
    return done.ending


def last_line(log: Path) -> str:
    """Return the last line that was printed."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return processes.last_line(text) or "it printed nothing"
