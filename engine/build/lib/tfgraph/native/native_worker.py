"""TensorFlow's native library for another process: it may crash or hang, and has a oneDNN switch.

Standard input brings requests, standard output answers. Each is a row of frames; a frame is its
length in 8 bytes, then its bytes. The first frame of a request says what is wanted:

    optimise   ConfigProto, MetaGraphDef    → the optimised GraphDef
    hold       pickled (GraphDef, outputs, names, dtypes and shapes of weights, ConfigProto or
               nothing), each weight
    run        pickled {tensor: array}      → pickled list of the outputs
    drop       (lets the graph go)

and an answer is "ok" and its content, or "failed" and the reason. Only the native library is
loaded, without the Python package around it, which takes ten times as long.
"""

import functools
import importlib.util
import os
import pickle
import sys
import types
from collections.abc import Callable
from typing import IO, Any

import numpy as np


def main() -> None:
    """Answer what comes in, until nothing more comes."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what native code prints is no answer
    _lean_packages()
    from tensorflow.python import _pywrap_py_exception_registry as registry
    from tensorflow.python import pywrap_tensorflow  # noqa: F401 (loads the library)

    registry.PyExceptionRegistry_Init(dict.fromkeys(range(1, 17), Refused))
    held = Held()
    work: dict[bytes, Callable[[], bytes]] = {
        b"optimise": optimise,
        b"hold": held.hold,
        b"run": held.run,
        b"drop": held.drop,
    }
    while (wanted := read_frame(sys.stdin.buffer)) is not None:
        try:
            content = work[wanted]()
        except Exception as error:  # noqa: BLE001 (whatever it is, the other side wants to know)
            write_frames(answers, b"failed", str(error).encode())
        else:
            write_frames(answers, b"ok", content)


class Refused(Exception):
    """What TensorFlow says no with; without such a class the library ends the process."""

    def __init__(self, _node: object, _op: object, message: str, *_: object) -> None:
        """Take what the library gives."""
        super().__init__(message)


def optimise() -> bytes:
    """Run Grappler."""
    from tensorflow.python.grappler import _pywrap_tf_optimizer

    config, meta_graph = _frame(), _frame()
    return _pywrap_tf_optimizer.TF_OptimizeGraphSerialized(
        _cluster(), config, meta_graph, False, "graph_to_optimize", False
    )


@functools.cache
def _cluster() -> Any:
    from tensorflow.python.grappler import _pywrap_tf_cluster

    return _pywrap_tf_cluster.TF_NewCluster(False, True)


class Held:
    """A graph in a default session, with its weights, which are fed."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.graph: Any = None
        self.session: Any = None
        self.weights: list[np.ndarray] = []
        self.names: list[str] = []

    def hold(self) -> bytes:
        """Take a graph and its weights."""
        self.definition, self.outputs, weights, self.config = pickle.loads(_frame())
        self.drop()
        self.weights = [read_array(sys.stdin.buffer, *each[1:]) for each in weights]
        self.names = [name for name, *_ in weights]
        return b""

    def run(self) -> bytes:
        """Compute the outputs of what is fed."""
        from tensorflow.python.client import _pywrap_tf_session as c_api

        feeds = pickle.loads(_frame())
        if self.session is None:
            self._open([*feeds, *self.names])
        values = dict(zip(self.fed, [*feeds.values(), *self.weights], strict=True))
        fetched = c_api.TF_SessionRun_wrapper(self.session, None, values, self.fetches, [], None)
        return pickle.dumps(fetched, protocol=5)

    def drop(self) -> bytes:
        """Let the graph go."""
        from tensorflow.python.client import _pywrap_tf_session as c_api

        if self.session is not None:
            c_api.TF_CloseSession(self.session)
        self.session = self.graph = None
        self.weights = []
        return b""

    def _open(self, fed: list[str]) -> None:
        """Open a session of the graph, and look its tensors up."""
        from tensorflow.python.client import _pywrap_tf_session as c_api

        options = c_api.TF_NewImportGraphDefOptions()
        for tensor in (*fed, *self.outputs):
            node, _, index = tensor.partition(":")
            c_api.TF_ImportGraphDefOptionsAddReturnOutput(options, node, int(index or 0))
        self.graph = c_api.PyGraph()
        content = c_api.TF_NewBufferFromString(self.definition)
        imported = c_api.TF_GraphImportGraphDefWithResults(self.graph, content, options)
        tensors = c_api.TF_ImportGraphDefResultsReturnOutputs(imported)
        self.fed, self.fetches = tensors[: len(fed)], tensors[len(fed) :]
        session_options = c_api._TF_NewSessionOptions()
        if self.config:
            c_api._TF_SetConfig(session_options, self.config)
        self.session = c_api.TF_NewSessionRef(self.graph, session_options)


def read_frame(stream: IO[bytes]) -> bytes | None:
    """Return the next frame, or None if the other side has gone."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    size = int.from_bytes(head, "little")
    content = stream.read(size)
    return content if len(content) == size else None


def read_array(stream: IO[bytes], dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Return the next frame as an array that TensorFlow takes without a copy."""
    size = int.from_bytes(stream.read(8), "little")
    room = np.empty(size + _ALIGNED, np.uint8)
    begin = -room.ctypes.data % _ALIGNED
    content = room[begin : begin + size]
    stream.readinto(content)  # type: ignore[attr-defined]
    return content.view(dtype).reshape(shape)


_ALIGNED = 64
"""Bytes to which TensorFlow's tensors are aligned."""


def write_frames(stream: IO[bytes], *contents: "bytes | memoryview") -> None:
    """Write each content as a frame."""
    for content in contents:
        size = content.nbytes if isinstance(content, memoryview) else len(content)
        stream.write(size.to_bytes(8, "little"))
        stream.write(content)
    stream.flush()


def _frame() -> bytes:
    return read_frame(sys.stdin.buffer) or b""


def _lean_packages() -> None:
    """Let modules inside TensorFlow be imported without its packages' own start-up."""
    spec = importlib.util.find_spec("tensorflow")
    assert spec is not None
    folder = os.path.dirname(str(spec.origin))
    for name, path in (("tensorflow", ""), ("tensorflow.python", "python")):
        package = types.ModuleType(name)
        package.__path__ = [os.path.join(folder, path)]
        sys.modules[name] = package


if __name__ == "__main__":
    main()
