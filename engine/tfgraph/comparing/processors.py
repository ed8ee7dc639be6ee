"""Compute a graph as other kinds of processors would.

TensorFlow 2 uses oneDNN on newer processors. On others it uses its own kernels, which support less.
This process does one of the two, and a worker process does the other.
"""

import contextlib
import itertools
import re
from collections.abc import Iterable, Mapping

import numpy as np

from graphcore.errors import GraphError, first_line
from graphcore.worker_process import Ended, Failed
from tfgraph.graphs.frozen import FrozenGraph
from tfgraph.graphs.run import TIMEOUT
from tfgraph.native import native
from tfgraph.native.native_worker import NotHeld
from tfgraph.optimising import grappler

_with_onednn = native.Worker(onednn=True)

_numbers = itertools.count()
"""Numbers for the graphs that workers keep."""


def words(switch: bool) -> str:
    """Return "with oneDNN" or "without oneDNN"."""
    return "with oneDNN" if switch else "without oneDNN"


def others(graph: FrozenGraph, outputs: Iterable[str]) -> "list[OtherProcessor]":
    """Return the graph on the other kind of processor, if TensorFlow supports two here.

    Grappler's process is shut down first, unless the graph runs in it.
    """
    outputs = list(outputs)
    switches = [switch for switch in native.SWITCHES if switch != native.onednn()]
    if False not in switches:
        grappler.shut_down()
    return [OtherProcessor(graph, outputs, switch) for switch in switches]


def _worker(switch: bool) -> native.Worker:
    """Return the process with this switch. Grappler's is without oneDNN and serves both tasks."""
    return _with_onednn if switch else grappler.worker


class OtherProcessor:
    """A frozen graph in a default session of a TensorFlow with its own oneDNN switch."""

    def __init__(self, graph: FrozenGraph, outputs: Iterable[str], switch: bool) -> None:
        """Start the worker, which starts up while other work is done."""
        self.title = words(switch)
        self._graph, self._outputs = graph, list(outputs)
        self._number, self._held = next(_numbers), False
        self._worker = _worker(switch)
        self._worker.start()

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs by tensor, computed from the inputs `feeds`.

        Raises:
            GraphError: TensorFlow cannot compute the graph in this way.
        """
        fed = {name: np.asarray(value, order="C") for name, value in feeds.items()}
        try:
            answer = self._run(fed)
        except Failed as error:
            node = re.search(r"{{node ([^}]+)}}", str(error))
            where = f" (node {node[1]!r})" if node else ""
            raise GraphError(self._sentence(first_line(error) + where)) from None
        except Ended as end:
            raise GraphError(self._sentence(str(end))) from None
        return dict(zip(self._outputs, map(np.asarray, answer), strict=True))

    def close(self) -> None:
        """Drop the graph. End the first worker, because a single conversion needs it only once."""
        if self._worker.started == 1:
            self._worker.end()
        elif self._held:
            with contextlib.suppress(Ended):
                self._worker.ask(("drop", self._number), timeout=TIMEOUT)

    def _run(self, fed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        run = "run", self._number, fed
        if self._held:
            try:
                return self._worker.ask(run, timeout=TIMEOUT)
            except Failed as error:  # the process that kept the graph may have ended
                if error.kind != NotHeld.__name__:
                    raise
        weights = {name: np.asarray(v, order="C") for name, v in self._graph.weights.items()}
        graph = self._graph.skeleton.SerializeToString(), self._outputs, weights, b""
        self._worker.ask(("hold", self._number, *graph), timeout=TIMEOUT)
        self._held = True
        return self._worker.ask(run, timeout=TIMEOUT)

    def _sentence(self, why: str) -> str:
        return f"On processors where TensorFlow works {self.title}, the graph fails to run: {why}."
