"""A frozen graph in a legacy TensorFlow, which computes tensors in a process of its own."""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from graphcore.errors import GraphError, unknown_name
from graphcore.processes import Program, last_line
from tfgraph.graphs.graphdef import load_graph_def, save_graph_def
from tfgraph.runtimes import runtimes
from tfgraph.runtimes.fetch import packed, unpacked

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

TIMEOUT = 900.0
"""Seconds after which a request to a legacy TensorFlow is given up."""

Feeds = Mapping[str, np.ndarray]


class Runtime(Protocol):
    """A TensorFlow that holds a graph: `receiver.fetch.Graph` here, or `Child` elsewhere."""

    @property
    def title(self) -> str:
        """Who computes: "TensorFlow 1.4.1"."""

    @property
    def nodes(self) -> Collection[str]:
        """The names of the nodes."""

    @property
    def placeholders(self) -> Sequence[str]:
        """The tensors that have to be fed."""

    def run(self, fetch: list[str], feeds: Feeds) -> list[np.ndarray]:
        """Return tensors by TensorFlow name, `feeds` being given."""

    def piece(self, fetch: list[str], feeds: Feeds) -> tuple[Any, dict[str, list[str]]]:
        """Return the graph between `feeds` and `fetch`, and placeholders by fed tensor."""


class Child:
    """A graph in the process of a legacy runtime, which ends with this object."""

    def __init__(self, graph: "str | Path | GraphDef", runtime: str) -> None:
        """Start the runtime and let it load the graph, a `.pb` file or a GraphDef.

        Raises:
            UnknownName: there is no such runtime here.
            GraphError: it does not load the graph.
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
        self._log = (folder / "log").open("w+")
        self._program = Program(
            [known[runtime].python, folder / "fetch.py", Path(graph).absolute()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=runtimes.clean_environment(),
            text=True,
        )
        self.title = str(known[runtime])
        told = self._answer()
        self.nodes, self.placeholders = set(told["nodes"]), told["placeholders"]

    def run(self, fetch: list[str], feeds: Feeds) -> list[np.ndarray]:
        """Return tensors by TensorFlow name; see `Runtime`."""
        values = Path(self._folder.name) / "values.npz"
        self._ask(feeds, {"fetch": fetch, "values": str(values)})
        with np.load(values) as stored:
            return unpacked(stored)

    def piece(self, fetch: list[str], feeds: Feeds) -> tuple["GraphDef", dict[str, list[str]]]:
        """Return the graph between `feeds` and `fetch`; see `Runtime`."""
        path = Path(self._folder.name) / "piece.pb"
        answer = self._ask(feeds, {"fetch": fetch, "piece": str(path)})
        return load_graph_def(path), answer["inputs"]

    def __del__(self) -> None:
        if hasattr(self, "_program"):
            self._program.end()
            self._program.process.communicate()
            self._log.close()

    def _ask(self, feeds: Feeds, request: dict) -> dict:
        path = Path(self._folder.name) / "feeds.npz"
        with path.open("wb") as file:
            np.savez(file, **packed(feeds.values()))
        request |= {"feeds": str(path), "fed": list(feeds)}
        pipe = self._program.process.stdin
        assert pipe is not None  # it was asked for
        try:
            with contextlib.suppress(OSError):  # it has ended; that there is no answer says so
                pipe.write(json.dumps(request) + "\n")
                pipe.flush()
            return self._answer()
        except KeyboardInterrupt:  # its answer would be taken for that to the next request
            self._program.end()
            raise

    def _answer(self) -> dict:
        pipe = self._program.process.stdout
        assert pipe is not None  # it was asked for
        with self._program.watched(TIMEOUT):
            line = pipe.readline()
        if not line:
            self._log.seek(0)
            last = last_line(self._log.read())
            how = self._program.ending(last) or "ended without an answer"
            said = "" if last in how else f"; it said last: {last}"
            raise GraphError(
                f"{self.title} {how}{said}. Open the graph again; if it ends again, this machine "
                "may lack memory for it."
            )
        answer = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer
