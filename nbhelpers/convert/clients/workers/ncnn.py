"""ncnn: pnnx converts an ONNX file to ncnn's format for given sizes, and ncnn runs that.

pnnx is called as the program in its wheel, because its Python part needs PyTorch. It names tensors
in0, in1, out0 …, in ONNX's order.
"""

import importlib.util
import os
import subprocess
from collections.abc import Callable

import numpy as np

_TYPES = {"float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64", "bool": "bool"}
_REDUCED = ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "bf16_packed")


def version(request: dict) -> str:
    """Return ncnn's version."""
    import ncnn

    return ncnn.__version__


def open_model(request: dict) -> Callable[[dict], dict]:
    """Return a function inputs → outputs.

    Raises:
        RuntimeError: pnnx or ncnn refused the model. The reason is only in the log.
        TypeError: an input is not float32, the only dtype of ncnn.
    """
    import ncnn

    param, weights = _converted(request)
    net = ncnn.Net()
    net.opt.num_threads = request["threads"]
    for reduced in _REDUCED:
        setattr(net.opt, f"use_{reduced}", False)
    if net.load_param(param) or net.load_model(weights):
        raise RuntimeError

    def run(feeds: dict) -> dict:
        extractor = net.create_extractor()
        # ncnn keeps the batch out of the dims, except for tables, where the batch is the rows.
        apart = {} if all(value.ndim < 3 for value in feeds.values()) else {"batch_index": 0}
        for place, name in enumerate(request["inputs"]):
            value = feeds[name]
            if value.dtype != np.float32:
                raise TypeError(f"it takes float32, but {name} is {value.dtype}")
            if extractor.input(f"in{place}", ncnn.Mat(value, **apart).clone()):
                raise RuntimeError
        return {
            name: _extracted(extractor, f"out{place}", apart)
            for place, name in enumerate(request["outputs"])
        }

    return run


def _extracted(extractor: object, name: str, apart: dict) -> np.ndarray:
    status, value = extractor.extract(name)  # type: ignore[attr-defined]
    if status:
        raise RuntimeError
    return np.array(value.numpy(**apart))


def _converted(request: dict) -> tuple[str, str]:
    spec = importlib.util.find_spec("pnnx")
    if spec is None or spec.origin is None:
        raise ImportError("pnnx is not installed")
    end = ".exe" if os.name == "nt" else ""
    program = os.path.join(os.path.dirname(spec.origin), f"pnnx{end}")
    stem = os.path.join(request["scratch"], "model")
    options = [f"ncnnparam={stem}.param", f"ncnnbin={stem}.bin", "fp16=0"]
    for number, shapes in enumerate(request["shapes"]):  # two sizes make the axes dynamic
        listed = ",".join(f"{dims}{_TYPES[dtype]}".replace(" ", "") for dims, dtype in shapes)
        options.append(f"inputshape{number + 1 if number else ''}={listed}")
    copy = f"{stem}.onnx"  # pnnx writes more files beside the model
    os.symlink(request["model"], copy)
    done = subprocess.run([program, copy, *options], cwd=request["scratch"])
    if done.returncode:
        raise RuntimeError
    return f"{stem}.param", f"{stem}.bin"
