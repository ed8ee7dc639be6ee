"""The process that runs ONNX models: a crash there ends nothing here.

It serves until this one ends, and is replaced if it crashes or hangs.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from nbhelpers.onnxgraph.session_worker import receive, send

_WORKER = Path(__file__).with_name("session_worker.py")

_lock = threading.Lock()
_process: tuple[int, subprocess.Popen] | None = None
"""The process that started it, and the worker."""

_closed: list[int] = []
"""Numbers of models that are no longer needed; the next request tells the worker."""


class Answer(NamedTuple):
    """What became of a request: "ok", "crashed", "hung" or the name of an error; and a value."""

    state: str
    value: Any


def start() -> subprocess.Popen:
    """Start the process, if it is not there; it comes up while other work is done."""
    global _process
    if _process is None or _process[0] != os.getpid() or _process[1].poll() is not None:
        # -P keeps the folder of the worker, whose modules have common names, off the module path.
        command = [sys.executable, "-P", str(_WORKER)]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere)
        _process = os.getpid(), worker
        atexit.register(_end, os.getpid(), worker)
    return _process[1]


def _end(owner: int, worker: subprocess.Popen) -> None:
    """Let the worker end with the process that started it."""
    if os.getpid() == owner:
        with contextlib.suppress(BrokenPipeError), worker:  # which closes its pipes
            worker.kill()


def close(number: int) -> None:
    """Forget a model; nothing is sent before the next request, so that any thread may ask."""
    _closed.append(number)


def free() -> None:
    """Let the worker give back the memory of models that are no longer needed."""
    if _closed:
        ask({"do": "nothing"}, timeout=60)


def ask(request: dict[str, Any], *, timeout: float) -> tuple[int, Answer]:
    """Send a request; return which process answered it, and the answer."""
    with _lock:
        worker = start()
        closed = [_closed.pop() for _ in range(len(_closed))]
        return worker.pid, _asked(worker, request | {"closed": closed}, timeout)


def _asked(worker: subprocess.Popen, request: dict[str, Any], timeout: float) -> Answer:
    assert worker.stdin is not None
    assert worker.stdout is not None
    hung = threading.Event()

    def give_up() -> None:
        hung.set()
        worker.kill()

    timer = threading.Timer(timeout, give_up)
    timer.daemon = True
    timer.start()
    try:
        with _aside() as aside:
            send(worker.stdin, request, aside=aside)
            answer = receive(worker.stdout)
        if answer is not None:
            return Answer(*answer)
        code = worker.wait()
    except BrokenPipeError:  # it went away while it was being written to
        code = worker.wait()
    except BaseException:  # interrupted: its answer would be taken for that to the next request
        worker.kill()
        worker.wait()
        raise
    finally:
        timer.cancel()
    if hung.is_set():
        return Answer("hung", None)
    return Answer("crashed", signal.Signals(-code).name if code < 0 else f"status {code}")


@contextlib.contextmanager
def _aside() -> Iterator[IO[bytes] | None]:
    """Give a file in memory that both processes see, None where the system has none."""
    if not hasattr(os, "memfd_create") or not os.path.isdir("/proc/self/fd"):
        yield None
        return
    with os.fdopen(os.memfd_create("arrays"), "wb") as file:
        yield file
