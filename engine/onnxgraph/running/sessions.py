"""Models opened for running, whose errors become one clear message.

onnxruntime and ONNX's reference evaluator run them in their own process (`session_process`),
because some valid models crash it.
"""

import itertools
import math
import re
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from graphcore.errors import GraphError, Refusal, first_line
from graphcore.worker_process import Ended, Failed
from onnxgraph.model import external
from onnxgraph.model.files import lowest_ir_version
from onnxgraph.model.graphs import graphs
from onnxgraph.model.weightless import weights_size, with_weights_elsewhere
from onnxgraph.running import session_process
from onnxgraph.running.session_worker import NotOpen, Place

TIMEOUT = 600.0
"""Seconds after which a run is stopped, for example an endless loop."""

HUGE = 2**26
"""Bytes of weights above which onnxruntime must not copy them."""

_NEWEST_IR = 10
"""The newest IR version that onnxruntime knows. It refuses numbers that are much higher."""

_FOLDER_OPTION = "session.model_external_initializers_file_folder_path"

_EXACT = {"session.x64quantprecision": "1"}
"""Without this, 8-bit products are summed in 16 bits, which overflow on processors without VNNI."""

_NO_KERNEL = ("NotImplemented",)
_NO_DTYPE = ("Numpy_type", "No corresponding Numpy type")
"""onnxruntime's words for inputs and outputs that numpy has no dtype for, such as bfloat16."""

_numbers = itertools.count()


class NoKernel(GraphError):
    """The runtime has no kernel for a node and its dtypes. The model may still be right."""


class Stopped(Refusal):
    """A run took too long and was stopped. Other inputs of the model would take as long, so it is
    not one of the refusals after which they are tried.
    """


class _NotOpen(Exception):
    """The process that answers has not opened the model."""


class Session:
    """A model, or its file, opened once in onnxruntime on the CPU."""

    title = "onnxruntime"

    def __init__(
        self,
        model: onnx.ModelProto | Path,
        *,
        few_runs: bool = False,
        optimise: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Open it.

        Args:
            model: a model, or its path.
            few_runs: need half the memory and free all of it. Each run is slower.
            optimise: False keeps every node as it is written.
            timeout: seconds after which opening or a run is stopped. The default is `TIMEOUT`.

        Raises:
            GraphError: onnxruntime refuses the model.
        """
        self._model = model
        self._few_runs, self._optimise = few_runs, optimise
        self._timeout = timeout
        self._number = next(_numbers)
        weakref.finalize(self, session_process.close, self._number)
        self._open()

    def run(self, fetch: list[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Return the fetched outputs of one run.

        Raises:
            GraphError: the run failed, crashed or hung.
        """
        request = {"do": "run", "fetch": fetch, "feeds": dict(feeds)}
        try:
            return self._asked("could not run the model", request)
        except _NotOpen:  # the process in which it was open has ended
            self._open()
            return self._asked("could not run the model", request)

    def _open(self) -> None:
        try:
            self._asked("does not load the model", {"do": "open", **self._request()})
        finally:
            if isinstance(self._model, onnx.ModelProto):
                external.check_unchanged(self._model)  # the process has read its weights itself

    def _request(self) -> dict[str, Any]:
        """Return what the worker needs to open the model."""
        model, config = self._model, dict(_EXACT)
        # EXTENDED does not change layouts, which would copy each weight.
        level = "ORT_ENABLE_EXTENDED" if self._few_runs else "ORT_ENABLE_ALL"
        request = {
            "reference": False,
            "level": level if self._optimise else "ORT_DISABLE_ALL",
            # The arena would be kept after the session.
            "options": {"enable_cpu_mem_arena": False} if self._few_runs else {},
            "config": config,
            "weights": [],
        }
        if isinstance(model, Path):
            return request | {"content": str(model.absolute())}
        # Weights are passed beside the message, which could not hold 2 GB of them.
        skeleton, weights = with_weights_elsewhere(model)
        tell_nodes_apart(skeleton)
        skeleton.ir_version = min(skeleton.ir_version, max(lowest_ir_version(model), _NEWEST_IR))
        config[_FOLDER_OPTION] = str(external.folder_of(model))
        if (
            self._few_runs or weights_size(model) > HUGE
        ):  # copies in other orders make only later runs faster
            config["session.disable_prepacking"] = "1"
        values = [
            (each.name, each.data_type, _lazy_place(each) or external.values(each))
            for each in weights
        ]
        return request | {"content": skeleton.SerializeToString(), "weights": values}

    def _asked(self, doing: str, request: dict[str, Any]) -> Any:
        """Return the value of the answer.

        Raises:
            NoKernel: the runtime does not have what the model needs.
            GraphError: it refused the model, or crashed.
            Stopped: it took too long.
        """
        request["number"] = self._number
        timeout = TIMEOUT if self._timeout is None else self._timeout
        try:
            return session_process.ask(request, timeout=timeout)
        except Ended as end:
            if end.late:
                said = f"The model was stopped after {end.late} without a result."
                raise Stopped(said) from None
            raise GraphError(self._crashed(end)) from None
        except Failed as error:
            if error.kind == NotOpen.__name__:
                raise _NotOpen from None
            missing = error.kind in _NO_KERNEL or str(error).startswith(_NO_DTYPE)
            kind = NoKernel if missing else GraphError
            raise kind(f"{self.title} {doing}: {_said(str(error))}.") from None

    def _crashed(self, end: Ended) -> str:
        advice = end.advice(
            "Look for a node with an empty input, or for values that a node cannot take, such as a "
            "step of 0"
        )
        return f"{self.title} {end} on the model, in a process of its own. {advice}."


class ReferenceSession(Session):
    """A model opened in ONNX's reference evaluator, which is exact and slow and has every op."""

    title = "onnx's reference evaluator"

    def __init__(self, model: onnx.ModelProto, *, timeout: float | None = None) -> None:
        """Open it (see `Session` for the arguments).

        Raises:
            GraphError: the evaluator refuses the model.
        """
        super().__init__(model, timeout=timeout)

    def _request(self) -> dict[str, Any]:
        assert isinstance(self._model, onnx.ModelProto)
        try:
            content = external.with_values(self._model).SerializeToString()
        except ValueError as error:  # 2 GB is the limit of protobuf
            raise GraphError(f"The model is too large for {self.title}: {error}") from error
        return {"reference": True, "content": content}


def tell_nodes_apart(model: onnx.ModelProto) -> None:
    """Remove duplicate node names in place, because ONNX allows them but onnxruntime does not."""
    for graph in graphs(model.graph):
        seen: set[str] = set()
        for node in graph.node:
            if node.name in seen:
                node.ClearField("name")
            seen.add(node.name)


def _said(text: str) -> str:
    """Return the first line of an error without its number and its place in the C++ source."""
    text = first_line(ValueError(text))
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    return re.sub(r"(?:/\S*/)?\w+\.(?:h|cc):\d+ \S+?(?:\(.*?\))? ", "", text)


def _lazy_place(tensor: onnx.TensorProto) -> Place | None:
    """Return the place of a weight that was left in the model's own file, or None for others.

    After reading it there, call `external.check_unchanged`.
    """
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    whole_bytes = external.nbytes(tensor) == math.prod(tensor.dims) * dtype.itemsize
    if not external.is_lazy(tensor) or not whole_bytes:
        return None
    path, offset, _ = external.place(tensor)
    return str(path), offset, dtype, tuple(tensor.dims)
