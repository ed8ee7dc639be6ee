"""Run ONNX models for another process: onnxruntime is native code, and may crash or hang.

Standard input brings requests, standard output answers them one by one (`receive`, `send`). A model
is opened once under a number, and run as often as wanted, by onnxruntime or by ONNX's reference
evaluator.
"""

import contextlib
import ctypes
import math
import os
import pickle
import sys
from collections.abc import Mapping
from typing import IO, Any, TypeAlias

import numpy as np

LARGE = 2**18
"""Arrays of more bytes than this do not go through the pipe, where there is another way."""

ALIGNED = 64
"""Each of them begins at a multiple of this."""

Place: TypeAlias = tuple[str, int, np.dtype, tuple[int, ...]]
"""Where a weight lies: the file, the byte at which it begins, its dtype and its shape."""


def main() -> None:
    """Answer what comes in, until nothing more comes."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what native code prints is no answer
    with contextlib.suppress(ImportError):  # which is raised again where it is needed
        import onnxruntime  # noqa: F401 (it comes up before the first request)
    opened: dict[int, Any] = {}
    while (request := receive(sys.stdin.buffer)) is not None:
        for number in request["closed"]:
            opened.pop(number, None)
        if request["closed"]:
            _trim()
        answer: tuple[str, Any]
        try:
            answer = "ok", _done(request, opened)
        except Exception as error:  # noqa: BLE001 (whatever it is, the other side wants to know)
            answer = type(error).__name__, _lines(error)
        send(answers, answer)


def _done(request: Mapping[str, Any], opened: dict[int, Any]) -> list[np.ndarray] | None:
    if request["do"] == "nothing":
        return None
    number = request["number"]
    if request["do"] == "open":
        opened[number] = (_Reference if request["reference"] else _Session)(request)
        return None
    return opened[number].run(request["fetch"], request["feeds"])


class _Session:
    """A session of onnxruntime."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # fatal: what goes wrong is raised, not printed
        for name, value in request["options"].items():
            setattr(options, name, value)
        options.graph_optimization_level = getattr(
            onnxruntime.GraphOptimizationLevel, request["level"]
        )
        for name, value in request["config"].items():
            options.add_session_config_entry(name, value)
        weights = request["weights"]
        self._weights = [
            onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(_values(value), code)
            for _, code, value in weights
        ]
        options.add_external_initializers([name for name, *_ in weights], self._weights)
        self._quiet = onnxruntime.RunOptions()
        self._quiet.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(
            request["content"],
            options,
            providers=["CPUExecutionProvider"],
            # It moves a Pad into the pool behind it, whose last window ceil_mode then drops.
            disabled_optimizers=["Pad_Fusion"],
        )

    def run(self, fetch: list[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return self._session.run(fetch, dict(feeds), self._quiet)


def _values(weight: np.ndarray | Place) -> np.ndarray:
    """Return a weight that was sent, or that lies in a file."""
    if isinstance(weight, np.ndarray):
        return weight
    path, offset, dtype, shape = weight
    return np.fromfile(path, dtype, math.prod(shape), offset=offset).reshape(shape)


class _Reference:
    """ONNX's reference evaluator, which is written in numpy."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        import onnx
        from onnx.reference import ReferenceEvaluator

        self._model = ReferenceEvaluator(onnx.load_from_string(request["content"]))

    def run(self, fetch: list[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            return [np.asarray(value) for value in self._model.run(fetch, dict(feeds))]


def send(stream: IO[bytes], message: object, *, aside: IO[bytes] | None = None) -> None:
    """Write a message: a table of its parts, a pickle, and the arrays in it.

    Args:
        stream: where it goes.
        message: anything; its arrays are not copied into the pickle.
        aside: a file that takes large arrays, which `receive` maps into its memory; it must stay
            open until the message was answered.
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


def _put(part: memoryview, aside: IO[bytes] | None) -> int | None:
    """Write a large part into the file; return where it is, None for a part of the stream."""
    if aside is None or part.nbytes < LARGE:
        return None
    place = aside.tell() or ALIGNED
    aside.seek(place)
    aside.write(part)
    aside.seek(-part.nbytes % ALIGNED, os.SEEK_CUR)
    aside.flush()
    return place


def receive(stream: IO[bytes]) -> Any:
    """Return the next message, or None if the other side has gone."""
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


def _read(stream: IO[bytes], size: int) -> np.ndarray | None:
    part = np.empty(size, np.uint8)
    whole = stream.readinto(part) == size if size else True  # type: ignore[attr-defined]
    return part if whole else None


def _lines(error: Exception) -> str:
    return str(error) or type(error).__name__


def _trim() -> None:
    """Give memory that is no longer used back to the system, which glibc keeps otherwise."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return


if __name__ == "__main__":
    main()
