"""MNN: converts a frozen graph or an ONNX file to its own format, and runs that.

The converter is called as a function of the wheel's native module, because the wheel's command line
installs packages and calls home. The function does neither.
"""

import os
from collections.abc import Callable

import numpy as np

_FRAMEWORK = {"frozen": "TF", "onnx": "ONNX"}


def version(request: dict) -> str:
    """Return MNN's version."""
    import MNN

    return MNN.version()


def open_model(request: dict) -> Callable[[dict], dict]:
    """Return a function inputs → outputs.

    Raises:
        RuntimeError: MNN wrote no model, or gives no outputs. The reason is only in the log.
        LookupError: MNN gave the tensors other names.
        TypeError: MNN has no such dtype.
    """
    import _tools
    from MNN import expr, nn

    made = os.path.join(request["scratch"], "model.mnn")
    framework = ["-f", _FRAMEWORK[request["kind"]], "--bizCode", "none"]
    _tools.mnnconvert(
        ["mnnconvert", *framework, "--modelFile", request["model"], "--MNNModel", made]
    )
    if not os.path.exists(made):
        raise RuntimeError
    threads = {"backend": "CPU", "precision": "high", "numThread": request["threads"]}
    manager = nn.create_runtime_manager((threads,))
    info = nn.load_module_from_file(made, [], []).get_info()
    inputs = [_called(tensor, info["inputNames"], request) for tensor in request["inputs"].values()]
    outputs = [
        _called(tensor, info["outputNames"], request) for tensor in request["outputs"].values()
    ]
    module = nn.load_module_from_file(made, inputs, outputs, runtime_manager=manager)
    # To MNN a TensorFlow tensor is NHWC, whatever its axes mean, so its layout is left unchanged.
    layout = expr.NHWC if request["kind"] == "frozen" else expr.NCHW
    dtypes = {"float32": expr.float, "int32": expr.int}

    def run(feeds: dict) -> dict:
        fed = []
        for name in request["inputs"]:
            value = _narrowed(feeds[name])
            fed.append(expr.const(value, list(value.shape), layout, dtypes[value.dtype.name]))
        results = module.forward(fed)
        if len(results) != len(outputs):
            raise RuntimeError
        return {
            name: np.array(expr.convert(result, layout).read())
            for name, result in zip(request["outputs"], results, strict=True)
        }

    return run


def _called(tensor: str, known: list[str], request: dict) -> str:
    """Return MNN's name of a tensor. MNN removes an Identity and uses the name before it."""
    for name in request["aliases"].get(tensor, [tensor]):
        if name in known:
            return name
    raise LookupError(f"its tensors are {sorted(known)}, and none is {tensor}")


def _narrowed(value: np.ndarray) -> np.ndarray:
    """Return the value in a dtype that MNN has, if no number changes."""
    kind = {"i": np.int32, "u": np.int32, "f": np.float32}.get(value.dtype.kind)
    if kind is None or not np.array_equal(value.astype(kind), value):
        raise TypeError(f"it has no {value.dtype} that holds these values")
    return value.astype(kind)
