"""Run ONNX models for another process, because onnxruntime is native code and may crash or hang.

`graphcore.worker_messages` runs this module. A model is opened once under a number, and run any
number of times, by onnxruntime or by ONNX's reference evaluator.
"""

import contextlib
import ctypes
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

Place: TypeAlias = tuple[str, int, np.dtype, tuple[int, ...]]
"""Where a weight is stored: the file, its first byte, its dtype and its shape."""

Request: TypeAlias = Mapping[str, Any]


class NotOpen(Exception):
    """No model is open under the number, because the process that had it has ended."""


def answering() -> Callable[[Request], list[np.ndarray] | None]:
    """Import onnxruntime before the first request, and return the function that answers."""
    with contextlib.suppress(ImportError):  # raised again where it is needed
        import onnxruntime  # noqa: F401
    opened: dict[int, _Session | _Reference] = {}

    def answer(request: Request) -> list[np.ndarray] | None:
        for number in request["closed"]:
            opened.pop(number, None)
        if request["closed"]:
            _trim()
        return _done(request, opened)

    return answer


def _done(request: Request, opened: "dict[int, _Session | _Reference]") -> list[np.ndarray] | None:
    if request["do"] == "nothing":
        return None
    number = request["number"]
    if request["do"] == "open":
        opened[number] = (_Reference if request["reference"] else _Session)(request)
        return None
    if number not in opened:
        raise NotOpen(number)
    return opened[number].run(request["fetch"], request["feeds"])


class _Session:
    """A session of onnxruntime."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # fatal only, because errors are raised, not printed
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
            # It moves a Pad into the pool after it, and ceil_mode then drops the last window.
            disabled_optimizers=["Pad_Fusion"],
        )

    def run(self, fetch: list[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return self._session.run(fetch, dict(feeds), self._quiet)


def _values(weight: np.ndarray | Place) -> np.ndarray:
    """Return a weight that was sent, or that is in a file."""
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


def _trim() -> None:
    """Return unused memory to the system, which glibc would keep."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return
