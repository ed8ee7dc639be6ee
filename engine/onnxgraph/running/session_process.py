"""The process that runs ONNX models, so that a crash there ends nothing here."""

import subprocess
from pathlib import Path
from typing import Any

from graphcore.worker_process import WorkerProcess

_worker = WorkerProcess(Path(__file__).with_name("session_worker.py"))

_closed: list[int] = []
"""Numbers of models that are no longer needed. The next request tells the worker."""


def start() -> subprocess.Popen:
    """Start the process in the background, if it does not run."""
    return _worker.start()


def close(number: int) -> None:
    """Forget a model. Nothing is sent before the next request, so any thread may call this."""
    _closed.append(number)


def free() -> None:
    """Let the worker free the memory of models that are no longer needed."""
    if _closed:
        ask({"do": "nothing"}, timeout=60)


def ask(request: dict[str, Any], *, timeout: float) -> Any:
    """Send a request and return the answer.

    Raises:
        Failed: the worker raised an error.
        Ended: the worker crashed or took too long.
    """
    closed = [_closed.pop() for _ in range(len(_closed))]
    return _worker.ask(request | {"closed": closed}, timeout=timeout)
