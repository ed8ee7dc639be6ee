"""Calls of every verb of `nbhelpers.convert` that takes a file, on files that may be damaged."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from calls_onnx import compare, drawn_feeds, parsed

from graphcore.errors import Refusal
from nbhelpers import convert, onnxgraph
from onnxgraph.running import sessions
from tfgraph.graphs import run as graph_run
from tfgraph.graphs.graphdef import GraphView

convert.tensorflow()
graph_run.TIMEOUT = sessions.TIMEOUT = 5.0


def call(name: str, path: Path, rng: random.Random) -> None:
    """Call a verb on the file at a path.

    Raises:
        Wrong: the result is wrong.
    """
    repr(_VERBS[name](path, rng))


def _preflight(path: Path, rng: random.Random) -> object:
    model = parsed(path) if rng.random() < 0.5 else path
    return convert.preflight(model, rng.choice(("tf1.4", "tf2")))


def _onnx2tf(path: Path, rng: random.Random) -> object:
    model = parsed(path) if rng.random() < 0.5 else path
    target = rng.choice(("tf1.4", "tf1.13", "tf1.15", "tf2"))
    made = convert.onnx2tf(model, "graph.pb", target=target)
    model = onnxgraph.load(path)
    try:
        feeds = drawn_feeds(model)
        names = [value.name for value in model.graph.output]
        session = sessions.Session(model, optimise=False)
        expected = dict(zip(names, session.run(names, feeds)))
    except (Refusal, ValueError, LookupError, TypeError):
        return made
    fed = {made.inputs[each]: feeds[each] for each in feeds}
    seen = convert.run_tf("graph.pb", fed, fetch=list(made.outputs.values()))
    compare(expected, dict(zip(made.outputs, seen.values())))
    return made


def _load_graph_def(path: Path, rng: random.Random) -> object:
    view = GraphView(convert.load_graph_def(path))
    return view.inputs(), view.outputs(), repr(view)


def _open_graph(path: Path, rng: random.Random) -> object:
    view = convert.open_graph(path)
    return view.inputs(), view.outputs(), repr(view)


def _run_tf(path: Path, rng: random.Random) -> object:
    return convert.run_tf(path, _feeds(convert.open_graph(path)), optimised=rng.random() < 0.5)


def _feeds(view: GraphView) -> dict[str, np.ndarray]:
    feeds = {}
    for tensor in view.inputs():
        shape = [3 if size is None else size for size in tensor.shape or ()]
        if np.prod([float(size) for size in shape]) > 2**22:
            raise Refusal("not drawn: the input is too large")
        kind = "object" if tensor.dtype == "string" else tensor.dtype
        feeds[tensor.name] = np.full(shape, b"2") if kind == "object" else np.full(shape, 2, kind)
    return feeds


def _build(path: Path, rng: random.Random) -> object:
    convert.build_saved_model(path, "built")
    return convert.read_saved_model("built")


def _call_saved_model(path: Path, rng: random.Random) -> object:
    return convert.call_saved_model(path, {"x": np.ones((2, 3), np.float32)})


def _tf2onnx(path: Path, rng: random.Random) -> object:
    return convert.tf2onnx(path, "made.onnx")


def _tf2onnx_checkpoint(path: Path, rng: random.Random) -> object:
    source = path if rng.random() < 0.3 else path / "model.ckpt-7"
    return convert.tf2onnx(source, "made.onnx", outputs=["y"])


def _traced(path: Path, rng: random.Random) -> object:
    return convert.traced(path.with_name("graph.pb"), path.with_name("model.onnx"))


_VERBS: dict[str, Callable[[Path, random.Random], object]] = {
    "preflight": _preflight,
    "onnx2tf": _onnx2tf,
    "load_graph_def": _load_graph_def,
    "open_graph": _open_graph,
    "open_graph (text)": _open_graph,
    "open_graph (SavedModel)": _open_graph,
    "open_graph (checkpoint)": _open_graph,
    "run_tf": _run_tf,
    "run_tf (text)": _run_tf,
    "build_saved_model": _build,
    "tf2onnx": _tf2onnx,
    "tf2onnx (SavedModel)": _tf2onnx,
    "tf2onnx (checkpoint)": _tf2onnx_checkpoint,
    "read_saved_model": lambda path, rng: convert.read_saved_model(path),
    "call_saved_model": _call_saved_model,
    "traced (names.json)": _traced,
}
