"""The C API of TensorFlow, from the wheel's shared library, without TensorFlow's Python code.

This is what a client in C, Go, Java or Rust does: import a frozen graph and run a session, or load
a SavedModel by its tags and run the tensors of its signature.
"""

import ctypes
from collections.abc import Callable, Iterable, Sequence
from ctypes import c_char_p, c_int, c_int64, c_size_t, c_void_p
from typing import Any

import numpy as np

# The numbers of TF_DataType.
_TYPES = {"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "int64": 9}
_TYPES |= {"bool": 10, "uint16": 17, "float16": 19, "uint32": 22, "uint64": 23}
_NAMES = {number: name for name, number in _TYPES.items()}
_POINTERS = (
    "TF_AllocateTensor",
    "TF_GraphOperationByName",
    "TF_LoadSessionFromSavedModel",
    "TF_NewBufferFromString",
    "TF_NewGraph",
    "TF_NewImportGraphDefOptions",
    "TF_NewSession",
    "TF_NewSessionOptions",
    "TF_NewStatus",
    "TF_TensorData",
)
_library: Any = None
_status: Any = None


class _Output(ctypes.Structure):
    """TF_Output: an operation and the number of its output."""

    _fields_ = (("operation", c_void_p), ("index", c_int))


def version(request: dict) -> str:
    """Return TensorFlow's version, as reported by the library."""
    _load(request["library"])
    return _library.TF_Version().decode()


def open_model(request: dict) -> Callable[[dict], dict]:
    """Return a function inputs → outputs.

    Raises:
        RuntimeError: TensorFlow refused the model. The message is TensorFlow's.
        LookupError: the graph has no such node.
    """
    graph = c_void_p(_library.TF_NewGraph())
    session = _session(graph, request)
    inputs = {name: _output(graph, tensor) for name, tensor in request["tensors"]["inputs"].items()}
    outputs = [_output(graph, tensor) for tensor in request["tensors"]["outputs"].values()]

    def run(feeds: dict) -> dict:
        values = _run(session, [(inputs[name], value) for name, value in feeds.items()], outputs)
        return dict(zip(request["tensors"]["outputs"], values, strict=True))

    return run


def _load(path: str) -> None:
    global _library, _status
    _library = ctypes.CDLL(path)
    for name in _POINTERS:
        getattr(_library, name).restype = c_void_p
    _library.TF_Message.restype = _library.TF_Version.restype = c_char_p
    _library.TF_Dim.restype = c_int64
    _status = c_void_p(_library.TF_NewStatus())


def _checked() -> None:
    if _library.TF_GetCode(_status):
        raise RuntimeError(_library.TF_Message(_status).decode(errors="replace"))


def _session(graph: c_void_p, request: dict) -> c_void_p:
    options = c_void_p(_library.TF_NewSessionOptions())
    # ConfigProto: intra_op_parallelism_threads is field 2, inter_op_parallelism_threads field 5.
    config = bytes([0x10, request["threads"], 0x28, 1])
    _library.TF_SetConfig(options, config, c_size_t(len(config)), _status)
    _checked()
    if request["kind"] == "savedmodel":
        tags = (c_char_p * len(request["tags"]))(*(tag.encode() for tag in request["tags"]))
        path = request["model"].encode()
        session = _library.TF_LoadSessionFromSavedModel(
            options, None, path, tags, c_int(len(tags)), graph, None, _status
        )
    else:
        with open(request["model"], "rb") as file:
            content = file.read()
        buffer = c_void_p(_library.TF_NewBufferFromString(content, c_size_t(len(content))))
        importing = c_void_p(_library.TF_NewImportGraphDefOptions())
        _library.TF_GraphImportGraphDef(graph, buffer, importing, _status)
        _checked()
        session = _library.TF_NewSession(graph, options, _status)
    _checked()
    return c_void_p(session)


def _output(graph: c_void_p, tensor: str) -> _Output:
    node, _, index = tensor.partition(":")
    operation = _library.TF_GraphOperationByName(graph, node.encode())
    if not operation:
        raise LookupError(f"the graph has no node {node}")
    return _Output(operation, int(index or 0))


def _run(
    session: c_void_p, feeds: Iterable[tuple[_Output, np.ndarray]], outputs: Sequence[_Output]
) -> list[np.ndarray]:
    fed = [(place, _tensor(value)) for place, value in feeds]
    places = (_Output * len(fed))(*(place for place, _ in fed))
    given = (c_void_p * len(fed))(*(tensor for _, tensor in fed))
    wanted, results = (_Output * len(outputs))(*outputs), (c_void_p * len(outputs))()
    sides = (places, given, c_int(len(fed)), wanted, results, c_int(len(outputs)))
    _library.TF_SessionRun(session, None, *sides, None, c_int(0), None, _status)
    for tensor in given:
        _library.TF_DeleteTensor(c_void_p(tensor))
    _checked()
    return [_array(tensor) for tensor in results if tensor]


def _tensor(value: np.ndarray) -> int:
    value = np.asarray(value, order="C")
    dims = (c_int64 * value.ndim)(*value.shape)
    kind, size = c_int(_TYPES[value.dtype.name]), c_size_t(value.nbytes)
    tensor = _library.TF_AllocateTensor(kind, dims, c_int(value.ndim), size)
    ctypes.memmove(_library.TF_TensorData(c_void_p(tensor)), value.ctypes.data, value.nbytes)
    return tensor


def _array(tensor: int) -> np.ndarray:
    held = c_void_p(tensor)
    shape = [_library.TF_Dim(held, c_int(axis)) for axis in range(_library.TF_NumDims(held))]
    value = np.empty(shape, _NAMES[_library.TF_TensorType(held)])
    ctypes.memmove(value.ctypes.data, _library.TF_TensorData(held), value.nbytes)
    _library.TF_DeleteTensor(held)
    return value
