"""Messages between a process and its worker, and the loop in which a worker answers them.

A message is any value that pickle takes. Arrays are not copied into the pickle. Large arrays go
into a file in memory that both processes can read, if the system has such files.

A worker runs this file: `python -P messages.py SCRIPT`. The script has a function `answering`,
which loads what it needs and returns the function that answers a request. An answer is ("", the
value), or the name of the exception that was raised and its text. This module needs only numpy.
"""

import contextlib
import importlib.util
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np

LARGE = 2**18
"""Arrays of more bytes than this do not go through the pipe, if a file in memory is available."""

ALIGNED = 64
"""Each array begins at a multiple of this, so that TensorFlow takes it without a copy."""


def main(script: str) -> None:
    """Answer requests until no more come."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the output of native code is not an answer
    answer = _loaded(script).answering()
    while (request := receive(sys.stdin.buffer)) is not None:
        send(answers, _answered(answer, request))
        del request  # the answer may be large, and the next one may come late


def ask(to_worker: IO[bytes], from_worker: IO[bytes], request: object) -> tuple[str, Any] | None:
    """Send a request, and return the answer, or None if the worker has ended."""
    with _file_in_memory() as aside:
        send(to_worker, request, aside=aside)
        return receive(from_worker)


def _loaded(script: str) -> Any:
    name = os.path.splitext(os.path.basename(script))[0]
    spec = importlib.util.spec_from_file_location(name, script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _answered(answer: Callable[[Any], Any], request: object) -> tuple[str, Any]:
    try:
        return "", answer(request)
    except Exception as error:  # noqa: BLE001 (whatever it is, the other side wants to know)
        return type(error).__name__, str(error) or type(error).__name__


def send(stream: IO[bytes], message: object, *, aside: IO[bytes] | None = None) -> None:
    """Write a message: a table of its parts, a pickle, and the arrays in it.

    Args:
        stream: the stream to write to.
        message: any value that pickle takes. Its arrays are not copied into the pickle.
        aside: a file for large arrays, which `receive` maps into its memory. It must stay open
            until the message is answered.
    """
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    places = [_put(part, aside) for part in parts]
    path = f"/proc/{os.getpid()}/fd/{aside.fileno()}" if aside and any(places) else ""
    table = pickle.dumps((path, [part.nbytes for part in parts], places))
    stream.write(len(table).to_bytes(8, "little"))
    stream.write(table)
    for part, place in zip(parts, places, strict=True):
        if place is None:
            stream.write(part)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Return the next message, or None if the other process has ended."""
    table = _read(stream, int.from_bytes(stream.read(8), "little"))
    if table is None or not table.size:
        return None
    path, sizes, places = pickle.loads(table.data)
    aside = np.memmap(path, np.uint8, "c") if path else None
    parts = []
    for size, place in zip(sizes, places, strict=True):
        inside = aside is not None and place is not None
        part = aside[place : place + size] if inside else _read(stream, size)  # type: ignore[index]
        if part is None:
            return None
        parts.append(part)
    return pickle.loads(parts[0].data, buffers=parts[1:])


@contextlib.contextmanager
def _file_in_memory() -> Iterator[IO[bytes] | None]:
    """Give a file in memory that both processes can read, or None if the system has none."""
    if not hasattr(os, "memfd_create") or not os.path.isdir("/proc/self/fd"):
        yield None
        return
    with os.fdopen(os.memfd_create("arrays"), "wb") as file:
        yield file


def _put(part: memoryview, aside: IO[bytes] | None) -> int | None:
    """Write a large part into the file and return its place.

    None means that the part goes into the stream.
    """
    if aside is None or part.nbytes < LARGE:
        return None
    place = aside.tell() or ALIGNED
    aside.seek(place)
    aside.write(part)
    aside.seek(-part.nbytes % ALIGNED, os.SEEK_CUR)
    aside.flush()
    return place


def _read(stream: IO[bytes], size: int) -> np.ndarray | None:
    room = np.empty(size + ALIGNED, np.uint8)
    begin = -room.ctypes.data % ALIGNED
    part = room[begin : begin + size]
    whole = stream.readinto(part) == size if size else True  # type: ignore[attr-defined]
    return part if whole else None


if __name__ == "__main__":
    main(sys.argv[1])
