"""onnxruntime: runs ONNX files, without optimisations that change the last digits."""

from collections.abc import Callable


def version(request: dict) -> str:
    """Return onnxruntime's version."""
    import onnxruntime

    return onnxruntime.__version__


def open_model(request: dict) -> Callable[[dict], dict]:
    """Return a function inputs → outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request["threads"]
    session = onnxruntime.InferenceSession(
        request["model"], options, providers=["CPUExecutionProvider"]
    )
    inputs, outputs = request["inputs"], request["outputs"]

    def run(feeds: dict) -> dict:
        fed = {inputs[name]: value for name, value in feeds.items()}
        return dict(zip(outputs, session.run(list(outputs.values()), fed), strict=True))

    return run
