"""OpenVINO: reads frozen graphs, SavedModels and ONNX files itself, with importers of its own."""

from collections.abc import Callable
from typing import Any


def version(request: dict) -> str:
    """Return OpenVINO's version."""
    import openvino

    return openvino.__version__.partition("-")[0]


def open_model(request: dict) -> Callable[[dict], dict]:
    """Return a function inputs → outputs, set to float32, because OpenVINO may choose bf16 by
    itself."""
    import openvino

    core = openvino.Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": request["threads"]}
    model = core.compile_model(core.read_model(request["model"]), "CPU", exact)
    inputs = {name: _port(model.inputs, tensor) for name, tensor in request["inputs"].items()}
    outputs = {name: _port(model.outputs, tensor) for name, tensor in request["outputs"].items()}

    def run(feeds: dict) -> dict:
        results = model({inputs[name]: value for name, value in feeds.items()})
        return {name: results[place] for name, place in outputs.items()}

    return run


def _port(ports: list[Any], tensor: str) -> int:
    for place, port in enumerate(ports):
        if tensor in port.get_names():
            return place
    known = [sorted(port.get_names()) for port in ports]
    raise LookupError(f"its tensors are {known}, and none is {tensor}")
