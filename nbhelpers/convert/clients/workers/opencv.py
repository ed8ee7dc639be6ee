"""OpenCV's DNN module: frozen graphs and ONNX files, read by importers of its own.

Its TensorFlow importer treats every placeholder with four axes as an NHWC picture, and expects its
value as NCHW. It cannot use a graph with an NCHW placeholder, nor most ops outside of image models.
"""

from collections.abc import Callable
from typing import Any


def version(request: dict) -> str:
    """Return OpenCV's version."""
    import cv2

    return cv2.__version__


def open_model(request: dict) -> Callable[[dict], dict]:
    """Return a function inputs → outputs.

    Raises:
        RuntimeError: OpenCV refused the model. Only its sentence is kept, without its place in the
            source.
    """
    import cv2

    cv2.setNumThreads(request["threads"])
    read = {"onnx": cv2.dnn.readNetFromONNX, "frozen": cv2.dnn.readNetFromTensorflow}
    inputs = {name: _node(tensor, request) for name, tensor in request["inputs"].items()}
    outputs = [_node(tensor, request) for tensor in request["outputs"].values()]
    try:
        net = read[request["kind"]](request["model"])
    except cv2.error as error:
        raise RuntimeError(_sentence(error)) from error

    def run(feeds: dict) -> dict:
        try:
            for name, value in feeds.items():
                net.setInput(value, inputs[name])
            return dict(zip(request["outputs"], net.forward(outputs), strict=True))
        except cv2.error as error:
            raise RuntimeError(_sentence(error)) from error

    return run


def _sentence(error: Any) -> str:
    return error.err.removeprefix("> ").replace("\n> ", " ")


def _node(tensor: str, request: dict) -> str:
    return tensor.partition(":")[0] if request["kind"] == "frozen" else tensor
