"""A graph as processors of another kind compute it.

TensorFlow 2 uses oneDNN on newer processors, and its own kernels on others, which know less. This
process does the one or the other; a worker does what this process does not.
"""

import pickle
import re
from collections.abc import Iterable, Mapping

import numpy as np

from graphcore.errors import GraphError, first_line
from tfgraph.graphs.frozen import FrozenGraph
from tfgraph.graphs.run import TIMEOUT
from tfgraph.native import native
from tfgraph.optimising import grappler

_with_onednn = native.Worker(onednn=True)


def words(switch: bool) -> str:
    """Return "with oneDNN" or "without oneDNN"."""
    return "with oneDNN" if switch else "without oneDNN"


def others(graph: FrozenGraph, outputs: Iterable[str]) -> "list[OtherProcessor]":
    """Return the graph on the processors of the other kind, if TensorFlow knows two here.

    Grappler's process gives way, unless it serves them.
    """
    outputs = list(outputs)
    switches = [switch for switch in native.SWITCHES if switch != native.onednn()]
    if False not in switches:
        grappler.rest()
    return [OtherProcessor(graph, outputs, switch) for switch in switches]


def _worker(switch: bool) -> native.Worker:
    """Return the process with this switch; Grappler's is without oneDNN, and serves both."""
    return _with_onednn if switch else grappler.worker


class OtherProcessor:
    """A frozen graph in a default session of a TensorFlow with its own oneDNN switch."""

    def __init__(self, graph: FrozenGraph, outputs: Iterable[str], switch: bool) -> None:
        """Start the worker, which comes up while other work is done."""
        self.title = words(switch)
        self._graph, self._outputs, self._held = graph, list(outputs), False
        self._worker = _worker(switch)
        self._worker.start()

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs by tensor; `feeds` are the inputs.

        Raises:
            GraphError: TensorFlow cannot compute the graph like this.
        """
        if not self._held:
            self._hold()
        fed = {name: np.asarray(value, order="C") for name, value in feeds.items()}
        answer = self._ask(b"run", pickle.dumps(fed, protocol=5))
        return dict(zip(self._outputs, map(np.asarray, pickle.loads(answer)), strict=True))

    def close(self) -> None:
        """Let the graph go; the first worker ends, because one conversion needs it only once."""
        if self._worker.started == 1:
            self._worker.end()
        elif self._held:
            self._ask(b"drop")

    def _hold(self) -> None:
        weights = {name: np.asarray(v, order="C") for name, v in self._graph.weights.items()}
        known = [(name, value.dtype, value.shape) for name, value in weights.items()]
        content = pickle.dumps(
            (self._graph.hollow.SerializeToString(), self._outputs, known, b""), protocol=5
        )
        self._ask(b"hold", content, *(v.reshape(-1).view(np.uint8).data for v in weights.values()))
        self._held = True

    def _ask(self, *request: "bytes | memoryview") -> bytes:
        state, content = self._worker.ask(*request, timeout=TIMEOUT)
        if state == "ok":
            return content
        text = content.decode(errors="replace")
        why = first_line(GraphError(text)) if text else state
        node = re.search(r"{{node ([^}]+)}}", text)
        where = f" (node {node[1]!r})" if node else ""
        raise GraphError(
            f"On processors where TensorFlow works {self.title}, the graph fails to run: "
            f"{why}{where}."
        )
