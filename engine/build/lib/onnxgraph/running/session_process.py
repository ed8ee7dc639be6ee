"""The process that runs ONNX models: a crash there ends nothing here."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from graphcore.worker_process import Ended, WorkerProcess
from onnxgraph.running.session_worker import receive, send

_worker = WorkerProcess(Path(__file__).with_name("session_worker.py"))

_closed: list[int] = []
"""Numbers of models that are no longer needed; the next request tells the worker."""


class Answer(NamedTuple):
    """What became of a request: "ok", "crashed", "hung" or the name of an error; and a value."""

    state: str
    value: Any


def start() -> subprocess.Popen:
    """Start the process, if it is not there; it comes up while other work is done."""
    return _worker.start()


def close(number: int) -> None:
    """Forget a model; nothing is sent before the next request, so that any thread may ask."""
    _closed.append(number)


def free() -> None:
    """Let the worker give back the memory of models that are no longer needed."""
    if _closed:
        ask({"do": "nothing"}, timeout=60)


def ask(request: dict[str, Any], *, timeout: float) -> tuple[int, Answer]:
    """Send a request; return which process answered it, and the answer."""
    pid = 0

    def talk(process: subprocess.Popen) -> Answer | None:
        nonlocal pid
        pid = process.pid
        assert process.stdin is not None
        assert process.stdout is not None
        closed = [_closed.pop() for _ in range(len(_closed))]
        with _aside() as aside:
            send(process.stdin, request | {"closed": closed}, aside=aside)
            answer = receive(process.stdout)
        return None if answer is None else Answer(*answer)

    try:
        answer = _worker.exchange(talk, timeout=timeout)
    except Ended as end:
        answer = Answer("crashed", end.crash) if end.crash else Answer("hung", None)
    return pid, answer


@contextlib.contextmanager
def _aside() -> Iterator[IO[bytes] | None]:
    """Give a file in memory that both processes see, None where the system has none."""
    if not hasattr(os, "memfd_create") or not os.path.isdir("/proc/self/fd"):
        yield None
        return
    with os.fdopen(os.memfd_create("arrays"), "wb") as file:
        yield file
