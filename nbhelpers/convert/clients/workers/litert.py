"""LiteRT (formerly TensorFlow Lite): runs the .tflite file that `to_tflite` made of a
SavedModel."""

from collections.abc import Callable


def version(request: dict) -> str:
    """Return LiteRT's version."""
    from importlib.metadata import version as installed

    import ai_edge_litert  # noqa: F401 (does it import?)

    return installed("ai-edge-litert")


def open_model(request: dict) -> Callable[[dict], dict]:
    """Return a function inputs → outputs. It resizes the model to the batch of each case."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(request["model"], num_threads=request["threads"])
    runner = interpreter.get_signature_runner(request["signature"])
    inputs, outputs = request["inputs"], request["outputs"]

    def run(feeds: dict) -> dict:
        results = runner(**{inputs[name]: value for name, value in feeds.items()})
        return {name: results[key] for name, key in outputs.items()}

    return run
