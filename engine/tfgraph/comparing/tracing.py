"""The tensors of a frozen graph by their ONNX names, as any TensorFlow here computes them.

`traced` opens a graph as a source (see `onnxgraph.comparing.sources`). The graph runs in this
kernel, or in a legacy runtime, which computes in a separate process.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx

from graphcore.errors import GraphError, unknown_name
from graphcore.targets import NEWEST
from graphcore.texts import as_bytes, is_text
from onnxgraph.comparing.sources import Feeds, OnnxSource
from tfgraph import framework
from tfgraph.comparing.tensor_map import read_names
from tfgraph.graphs.foreign_ops import check_ops
from tfgraph.graphs.frozen import FrozenGraph, split_weights
from tfgraph.graphs.graphdef import load_graph_def
from tfgraph.graphs.order import maker
from tfgraph.names.naming import legal_names
from tfgraph.runtimes import fetch
from tfgraph.runtimes.child import Child, Runtime
from tfgraph.savedmodels.reading import read_saved_model
from tfgraph.toonnx import saved_model

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

    from tfgraph.conversion import Conversion


Graph: TypeAlias = "str | Path | GraphDef | FrozenGraph | Conversion"
"""A `.pb` file, a SavedModel's folder, or a graph in memory."""


class GraphSource:
    """The tensors of a frozen graph (see `traced`)."""

    free_layout = True
    restarts = True

    def __init__(self, runtime: Runtime, tensors: Mapping[str, str], name: str = "") -> None:
        """Take a runtime with the graph, ONNX name → TensorFlow tensor, and the graph's name."""
        self.runtime = runtime
        self.title = f"{name} on {runtime.title}" if name else runtime.title
        self._tensors = dict(tensors)
        self.names = tuple(self._tensors)

    def tensors(self, names: Iterable[str], feeds: Feeds) -> dict[str, np.ndarray]:
        """Return tensors by ONNX name, with their axes as in the graph (see `Source`).

        Raises:
            UnknownName: the graph has no twin of that name.
            GraphError: TensorFlow refuses the graph or the feeds.
        """
        names = list(names)
        wanted = [name for name in names if name not in feeds]
        found = {name: np.asarray(feeds[name]) for name in names if name in feeds}
        if wanted:
            values = self._guarded(self.runtime.run, wanted, feeds)
            found |= zip(wanted, map(np.asarray, values), strict=True)
        return {name: found[name] for name in names}

    def called(self, name: str) -> str:
        """Return the TensorFlow tensor that is the twin of an ONNX tensor.

        Raises:
            UnknownName: the ONNX tensor has no twin.
        """
        if name not in self._tensors:
            raise unknown_name("ONNX tensor with a twin in the graph", name, self.names)
        return self._tensors[name]

    def piece(self, name: str, feeds: Feeds) -> tuple["GraphDef", dict[str, list[str]]]:
        """Return the graph that computes one tensor from `feeds`, and ONNX name → placeholders."""
        graph_def, inputs = self._guarded(self.runtime.piece, [name], feeds)
        return graph_def, {n: inputs[self.called(n)] for n in feeds if self.called(n) in inputs}

    def _guarded(self, work: Any, names: list[str], feeds: Feeds) -> Any:
        tf = framework.tensorflow()
        fed = {
            self.called(name): as_bytes(value) if is_text(value) else np.asarray(value)
            for name, value in feeds.items()
        }
        fetch = [self.called(name) for name in names]
        try:
            return work(fetch, fed)
        except (tf.errors.OpError, ValueError, TypeError, KeyError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise GraphError(f"{self.title} cannot compute the graph: {said}") from error


def traced(
    graph: "Graph",
    model: OnnxSource | onnx.ModelProto | str | Path,
    *,
    runtime: str = "tf2",
    tensors: Mapping[str, str] | None = None,
) -> GraphSource:
    """Open a graph as a source of tensors by ONNX name.

    Twins are found by name. The names come from `tensors`, else from the conversion, else from the
    names in the graph, else from the file `names.json` beside the graph. A name proves nothing, but
    the comparison of the values does.

    Args:
        graph: a `.pb` file, a SavedModel's folder, a GraphDef or a Conversion.
        model: the ONNX model from which it was made.
        runtime: "tf2" for this kernel's TensorFlow, or "tf1.4", "tf1.13" or "tf1.15".
        tensors: ONNX name → TensorFlow tensor, for a graph with names of its own.

    Raises:
        GraphError: the file is not a graph, or the model's inputs are not in it.
        UnknownName: a name in `tensors` is not in the graph, or the runtime is not installed.
    """
    source = model if isinstance(model, OnnxSource) else OnnxSource(model)
    held = _here(graph) if runtime == NEWEST.name else _there(graph, runtime)
    names = dict(tensors or {})
    for tensor in names.values():
        if maker(tensor) not in held.nodes:
            raise unknown_name("TensorFlow tensor", tensor, held.nodes)
    inputs = [name for name in source.names if name not in {*source.dataflow.makers, *names}]
    found = _by_name(source.names, inputs, held)
    own = getattr(graph, "tensors", {})  # a conversion knows its tensors
    file = "/".join(Path(graph).parts[-2:]) if isinstance(graph, str | Path) else ""
    twins = {**_recorded(graph, held), **found, **own, **names}
    if isinstance(held, fetch.Graph):
        check_ops(held.small, ends=twins.values())
    return GraphSource(held, twins, file)


def _here(graph: "Graph") -> Runtime:
    frozen = split_weights(_held(graph))
    return fetch.Graph(framework.tensorflow(), frozen.skeleton, frozen.weights)


def _there(graph: "Graph", runtime: str) -> Runtime:
    held = _held(graph)
    check_ops(getattr(held, "skeleton", held))
    if isinstance(graph, str | Path) and not Path(graph).is_dir():
        return Child(graph, runtime)
    return Child(held.graph_def if isinstance(held, FrozenGraph) else held, runtime)


def _held(graph: "Graph") -> "GraphDef | FrozenGraph":
    """Return the graph itself, out of a Conversion or a file."""
    if isinstance(graph, str | Path):
        return _served(Path(graph)) if Path(graph).is_dir() else load_graph_def(graph)
    return getattr(graph, "graph", graph)


def _served(folder: Path) -> "GraphDef":
    """Return the graph of a SavedModel, with constants in place of its variables."""
    saved = read_saved_model(folder)
    if not (folder / "variables" / "variables.index").is_file():
        return saved.graph_def
    served = set().union(*(each.tensors for each in saved.signatures.values()))
    return saved_model.frozen(saved, served)


def _by_name(names: Iterable[str], inputs: list[str], held: Runtime) -> dict[str, str]:
    """Return ONNX name → TensorFlow tensor for the names that are in the graph.

    Raises:
        GraphError: an input of the model is not in the graph.
    """
    legal = legal_names(names)
    found = {}
    for name, plain in legal.items():
        # If a node and its output had one name, the conversion has numbered the second.
        numbered = f"{plain}_1"
        if plain in held.nodes:
            found[name] = f"{plain}:0"
        elif numbered in held.nodes and numbered not in legal.values():
            found[name] = f"{numbered}:0"
    lost = [name for name in inputs if name not in found]
    rest = [tensor for tensor in held.placeholders if tensor not in found.values()]
    if len(lost) > len(rest):
        raise GraphError(
            f"The graph has no placeholder for the inputs {', '.join(map(repr, lost))}; check that "
            "it was made from this ONNX model, or say which tensor is which: "
            f"traced(graph, model, tensors={{{lost[0]!r}: 'name:0'}})."
        )
    return found | dict(zip(lost, rest, strict=False))


def _recorded(graph: "Graph", held: Runtime) -> dict[str, str]:
    """Return ONNX name → TensorFlow tensor from stage "names", which wrote it beside the graph."""
    beside = Path(graph).with_name("names.json") if isinstance(graph, str | Path) else None
    if beside is None or not beside.is_file():
        return {}
    found = read_names(beside)
    return {name: t for name, t in found.items() if maker(t) in held.nodes}
