"""Compute tensors of a frozen graph in a legacy TensorFlow, in a separate process."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from graphcore.errors import GraphError, unknown_name
from graphcore.line_process import LineProcess
from graphcore.time_limits import advice
from graphcore.worker_process import Ended
from tfgraph.graphs.graphdef import load_graph_def, save_graph_def
from tfgraph.runtimes import runtimes
from tfgraph.runtimes.fetch import packed, unpacked

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

TIMEOUT = 900.0
"""Seconds after which a request to a legacy TensorFlow times out (see `time_limits`)."""

Feeds = Mapping[str, np.ndarray]


class Runtime(Protocol):
    """A TensorFlow that holds a graph: `fetch.Graph` in this process, or `Child` in another."""

    @property
    def title(self) -> str:
        """The TensorFlow that computes, for example "TensorFlow 1.4.1"."""

    @property
    def nodes(self) -> Collection[str]:
        """The names of the nodes."""

    @property
    def placeholders(self) -> Sequence[str]:
        """The tensors that must be fed."""

    def run(self, fetch: list[str], feeds: Feeds) -> list[np.ndarray]:
        """Return tensors by TensorFlow name, computed from `feeds`."""

    def piece(self, fetch: list[str], feeds: Feeds) -> tuple[Any, dict[str, list[str]]]:
        """Return the graph between `feeds` and `fetch`, and its placeholders by fed tensor."""


class Child:
    """A graph in the process of a legacy runtime, which ends with this object."""

    def __init__(self, graph: "str | Path | GraphDef", runtime: str) -> None:
        """Start the runtime, and load the graph in it, a `.pb` file or a GraphDef.

        Raises:
            UnknownName: the runtime is not installed here.
            GraphError: the runtime does not load the graph.
        """
        known = {each.name: each for each in runtimes.runtimes()}
        if runtime not in known:
            raise unknown_name("installed TensorFlow runtime", runtime, known)
        self._folder = tempfile.TemporaryDirectory(prefix="trace-")
        folder = Path(self._folder.name)
        if not isinstance(graph, str | Path):
            graph = save_graph_def(graph, folder / "frozen.pb")
        script = resources.files("tfgraph.runtimes").joinpath("fetch.py")
        (folder / "fetch.py").write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
        command = [known[runtime].python, folder / "fetch.py", Path(graph).absolute()]
        self._process = LineProcess(command, env=runtimes.clean_environment())
        self.title = str(known[runtime])
        told = self._ask({})
        self.nodes, self.placeholders = set(told["nodes"]), told["placeholders"]

    def run(self, fetch: list[str], feeds: Feeds) -> list[np.ndarray]:
        """Return tensors by TensorFlow name (see `Runtime`)."""
        values = Path(self._folder.name) / "values.npz"
        self._ask(self._fed(feeds) | {"fetch": fetch, "values": str(values)})
        with np.load(values) as stored:
            return unpacked(stored)

    def piece(self, fetch: list[str], feeds: Feeds) -> tuple["GraphDef", dict[str, list[str]]]:
        """Return the graph between `feeds` and `fetch` (see `Runtime`)."""
        path = Path(self._folder.name) / "piece.pb"
        answer = self._ask(self._fed(feeds) | {"fetch": fetch, "piece": str(path)})
        return load_graph_def(path), answer["inputs"]

    def _fed(self, feeds: Feeds) -> dict[str, Any]:
        """Return the part of a request that describes the fed arrays."""
        path = Path(self._folder.name) / "feeds.npz"
        with path.open("wb") as file:
            np.savez(file, **packed(feeds.values()))
        return {"feeds": str(path), "fed": list(feeds)}

    def _ask(self, request: dict) -> dict:
        try:
            answer = self._process.ask(request, timeout=TIMEOUT)
        except Ended as end:
            more = "this machine may lack memory for it"
            if end.late:
                more = f"and this machine is slow, {advice()}"
            raise GraphError(
                f"{self.title} {end}. Open the graph again; if it ends again, {more}."
            ) from None
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer
