"""Sessions of onnxruntime, whose errors become one sentence.

Import this where a model is run, not at the top of a module: onnxruntime takes 18 MB, and who only
looks at models or changes them needs none of it.
"""

import re
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _state

from nbhelpers.errors import GraphError, first_line
from nbhelpers.onnxgraph import external
from nbhelpers.onnxgraph.files import lowest_ir_version
from nbhelpers.onnxgraph.light import weights_size, with_weights_elsewhere

TIMEOUT = 600.0
"""Seconds after which a run is taken to hang: a loop without end, say."""

HUGE = 2**26
"""Bytes of weights of which onnxruntime shall not make copies."""

_NEWEST_IR = 10
"""The IR version whose features onnxruntime knows; it refuses numbers that are higher by much."""

_FOLDER_OPTION = "session.model_external_initializers_file_folder_path"

_RUNTIME_ERRORS = (
    _state.EPFail,
    _state.Fail,
    _state.InvalidArgument,
    _state.InvalidGraph,
    _state.InvalidProtobuf,
    _state.NotImplemented,
    _state.RuntimeException,
    RuntimeError,
)


class Session:
    """A model, or its file, opened once on the CPU."""

    def __init__(
        self, model: onnx.ModelProto | Path, *, few_runs: bool = False, optimise: bool = True
    ) -> None:
        """Open it.

        Args:
            model: a model, or the path of one.
            few_runs: take half the memory and return all of it; each run is slower.
            optimise: False keeps every node as it is written.

        Raises:
            GraphError: onnxruntime refuses the model.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # fatal: what goes wrong is raised, not printed
        levels = onnxruntime.GraphOptimizationLevel
        if few_runs:
            options.enable_cpu_mem_arena = False  # which is kept when the session has gone
            options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED  # not: other layouts
        if not optimise:
            options.graph_optimization_level = levels.ORT_DISABLE_ALL
        if isinstance(model, Path):
            content: str | bytes = str(model)
        else:  # weights are handed over beside the message, which could not hold 2 GB of them
            hollow, weights = with_weights_elsewhere(model)
            hollow.ir_version = min(hollow.ir_version, max(lowest_ir_version(model), _NEWEST_IR))
            content = hollow.SerializeToString()
            options.add_session_config_entry(_FOLDER_OPTION, external.folder_of(model))
            values = [_ort_value(tensor) for tensor in weights]
            if few_runs or weights_size(model) > HUGE:  # copies in other orders are faster, later
                options.add_session_config_entry("session.disable_prepacking", "1")
            options.add_external_initializers([tensor.name for tensor in weights], values)
        try:
            self._session = onnxruntime.InferenceSession(
                content,
                options,
                providers=["CPUExecutionProvider"],
                # It moves a Pad into the pool behind it, whose last window ceil_mode then drops.
                disabled_optimizers=["Pad_Fusion"],
            )
        except _RUNTIME_ERRORS as error:
            raise GraphError(f"onnxruntime does not load the model: {_said(error)}.") from error

    def run(self, fetch: list[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Return the fetched outputs of one run.

        Raises:
            GraphError: the run failed, or hung.
        """
        options = onnxruntime.RunOptions()
        options.log_severity_level = 4
        watch = threading.Timer(TIMEOUT, setattr, (options, "terminate", True))
        watch.daemon = True
        watch.start()
        try:
            return self._session.run(fetch, dict(feeds), options)
        except _RUNTIME_ERRORS as error:
            if options.terminate:
                raise GraphError(
                    f"The model was stopped after {TIMEOUT:g} s without a result."
                ) from error
            raise GraphError(f"onnxruntime could not run the model: {_said(error)}.") from error
        finally:
            watch.cancel()


def _ort_value(tensor: onnx.TensorProto) -> onnxruntime.OrtValue:
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(
        external.values(tensor), tensor.data_type
    )


def _said(error: BaseException) -> str:
    """Return the first line of an error without its number and its place in the C++ source."""
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", first_line(error))
    return re.sub(r"(?:/\S*/)?\w+\.(?:h|cc):\d+ \S+?(?:\(.*?\))? ", "", text)
