"""TensorFlow's native library in a worker process, which may crash or hang, with a oneDNN switch.

`graphcore.worker_messages` runs it. A request is the name of one of these and its arguments:

    optimise   ConfigProto, MetaGraphDef           → the optimised GraphDef
    hold       number, `Graph`'s arguments         (keeps a graph under a number)
    run        number, {tensor: array}             → its outputs, a list
    drop       number                              (closes the graph)
    compute    {tensor: array}, `Graph`'s arguments → the outputs of a graph that is not kept

Protobufs are serialised. Only the native library is loaded, because the Python package around it
takes ten times as long.
"""

import functools
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]


def answering() -> Callable[[tuple], Any]:
    """Load the library, and return the function that answers requests."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    _lean_packages()
    from tensorflow.python import _pywrap_py_exception_registry as registry
    from tensorflow.python import pywrap_tensorflow  # noqa: F401 (loads the library)

    registry.PyExceptionRegistry_Init(dict.fromkeys(range(1, 17), NativeError))
    held = Held()
    work: dict[str, Callable[..., Any]] = {
        "optimise": optimise,
        "hold": held.hold,
        "run": held.run,
        "drop": held.drop,
        "compute": compute,
    }
    return lambda request: work[request[0]](*request[1:])


class NativeError(Exception):
    """An error that TensorFlow raises. Without such a class the library ends the process."""

    def __init__(self, _node: object, _op: object, message: str, *_: object) -> None:
        """Take the arguments that the library gives."""
        super().__init__(message)


class NotHeld(Exception):
    """No graph is kept under the number, because the process that kept it has ended."""


def optimise(config: bytes, meta_graph: bytes) -> bytes:
    """Run Grappler."""
    from tensorflow.python.grappler import _pywrap_tf_optimizer

    return _pywrap_tf_optimizer.TF_OptimizeGraphSerialized(
        _cluster(), config, meta_graph, False, "graph_to_optimize", False
    )


def compute(feeds: Arrays, *graph: Any) -> list[np.ndarray]:
    """Compute the outputs of a graph once."""
    opened = Graph(*graph)
    try:
        return opened.run(feeds)
    finally:
        opened.close()


@functools.cache
def _cluster() -> Any:
    from tensorflow.python.grappler import _pywrap_tf_cluster

    return _pywrap_tf_cluster.TF_NewCluster(False, True)


class Held:
    """The graphs that are kept, by number."""

    def __init__(self) -> None:
        """Keep nothing."""
        self._graphs: dict[int, Graph] = {}

    def hold(self, number: int, *graph: Any) -> None:
        """Keep a graph."""
        self._graphs[number] = Graph(*graph)

    def run(self, number: int, feeds: Arrays) -> list[np.ndarray]:
        """Compute the outputs of a graph."""
        if number not in self._graphs:
            raise NotHeld(number)
        return self._graphs[number].run(feeds)

    def drop(self, number: int) -> None:
        """Close a graph and forget it."""
        if number in self._graphs:
            self._graphs.pop(number).close()


class Graph:
    """A graph in a default session, with its weights, which are fed."""

    def __init__(
        self, definition: bytes, outputs: Sequence[str], weights: Arrays, config: bytes
    ) -> None:
        """Take a GraphDef, tensors to compute, weights by tensor, and a ConfigProto or b""."""
        self._definition, self._outputs, self._config = definition, list(outputs), config
        self._weights = dict(weights)
        self._graph: Any = None
        self._session: Any = None

    def run(self, feeds: Arrays) -> list[np.ndarray]:
        """Compute the outputs from the fed arrays."""
        from tensorflow.python.client import _pywrap_tf_session as c_api

        if self._session is None:
            self._open([*feeds, *self._weights])
        values = dict(zip(self._fed, [*feeds.values(), *self._weights.values()], strict=True))
        return c_api.TF_SessionRun_wrapper(self._session, None, values, self._fetches, [], None)

    def close(self) -> None:
        """Close the session."""
        from tensorflow.python.client import _pywrap_tf_session as c_api

        if self._session is not None:
            c_api.TF_CloseSession(self._session)
        self._session = self._graph = None

    def _open(self, fed: list[str]) -> None:
        """Open a session for the graph, and look its tensors up."""
        from tensorflow.python.client import _pywrap_tf_session as c_api

        options = c_api.TF_NewImportGraphDefOptions()
        for tensor in (*fed, *self._outputs):
            node, _, index = tensor.partition(":")
            c_api.TF_ImportGraphDefOptionsAddReturnOutput(options, node, int(index or 0))
        self._graph = c_api.PyGraph()
        content = c_api.TF_NewBufferFromString(self._definition)
        imported = c_api.TF_GraphImportGraphDefWithResults(self._graph, content, options)
        tensors = c_api.TF_ImportGraphDefResultsReturnOutputs(imported)
        self._fed, self._fetches = tensors[: len(fed)], tensors[len(fed) :]
        session_options = c_api._TF_NewSessionOptions()
        if self._config:
            c_api._TF_SetConfig(session_options, self._config)
        self._session = c_api.TF_NewSessionRef(self._graph, session_options)


def _lean_packages() -> None:
    """Let modules inside TensorFlow be imported without running its packages' start-up code."""
    spec = importlib.util.find_spec("tensorflow")
    assert spec is not None
    folder = os.path.dirname(str(spec.origin))
    for name, path in (("tensorflow", ""), ("tensorflow.python", "python")):
        package = types.ModuleType(name)
        package.__path__ = [os.path.join(folder, path)]
        sys.modules[name] = package
