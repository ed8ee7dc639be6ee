"""Write the smallest graph that shows a difference, in a folder that reproduces it by itself.

The folder contains the ONNX nodes in question (`piece.onnx`), the same part of the TensorFlow graph
(`piece.pb`), its inputs and expected output (`tensors.npz`), and `reproduce.py`.
"""

import json
from importlib import resources
from pathlib import Path

import numpy as np

from graphcore.atomic_files import new_folder
from graphcore.errors import GraphError
from graphcore.writing import writing
from onnxgraph.comparing.bisection import Difference
from onnxgraph.comparing.layouts import from_onnx
from onnxgraph.comparing.sources import OnnxSource, Source
from tfgraph.comparing.tracing import GraphSource
from tfgraph.graphs.graphdef import save_graph_def

CASE = "case.json"
FORMAT = 1


def write_cutout(
    found: Difference,
    sources: tuple[Source, Source],
    order: OnnxSource,
    folder: str | Path,
    *,
    tolerance: float,
) -> Path:
    """Write the folder completely or not at all. The same difference gives the same bytes.

    Args:
        found: the difference to show.
        sources: the reference and the judged source.
        order: the ONNX model.
        folder: where to write it. An older cut-out there is replaced.
        tolerance: largest difference allowed, relative to the largest value.

    Raises:
        GraphError: `folder` contains something else, or cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / CASE).is_file():
        raise GraphError(
            f"{folder} exists and is no cut-out of this package (it has no {CASE}); choose another "
            "folder."
        )
    with writing(folder, error=GraphError), new_folder(folder) as new:
        _fill(new, found, sources, order, tolerance)
    return folder


def _fill(
    folder: Path,
    found: Difference,
    sources: tuple[Source, Source],
    order: OnnxSource,
    tolerance: float,
) -> None:
    name, feeds = found.layer.name, dict(found.feeds)
    arrays = {"expected": found.expected, "seen": found.seen}
    pieces = [_onnx_piece(folder, name, feeds, order, sources)]
    for side, source in enumerate(sources):
        if isinstance(source, GraphSource):
            pieces.append(_tensorflow_piece(folder, found, source, side))
    needed = dict.fromkeys(each for piece in pieces for each in piece["inputs"])
    arrays |= {f"input/{each}": feeds[each] for each in needed}
    with (folder / "tensors.npz").open("wb") as file:
        plain = {key: np.asarray(value, order="C") for key, value in arrays.items()}
        np.savez(file, allow_pickle=False, **plain)
    case = {
        "format": FORMAT,
        "title": found.title,
        "output": name,
        "nodes": found.nodes,
        "tolerance": tolerance,
        "pieces": pieces,
    }
    (folder / CASE).write_text(json.dumps(case, indent=1) + "\n", encoding="utf-8")
    script = resources.files("tfgraph.comparing").joinpath("reproduce.py")
    (folder / "reproduce.py").write_text(script.read_text(encoding="utf-8"), encoding="utf-8")


def _onnx_piece(
    folder: Path,
    name: str,
    feeds: dict[str, np.ndarray],
    order: OnnxSource,
    sources: tuple[Source, Source],
) -> dict:
    """Write `piece.onnx`, and return how to run it."""
    model = order.piece([name], feeds)
    path = folder / "piece.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    side = next((s for s, each in enumerate(sources) if isinstance(each, OnnxSource)), None)
    return {
        "file": path.name,
        "runtime": "onnxruntime",
        "side": _side(side),
        "inputs": {value.name: [value.name] for value in model.graph.input},
        "name": name,
        "output": name,
        "layouts": {},
    }


def _tensorflow_piece(folder: Path, found: Difference, source: GraphSource, side: int) -> dict:
    """Write `piece.pb` (or `reference.pb` for the reference), and return how to run it."""
    layouts = {layer.name: layer.layouts[side] for layer in (*found.inputs, found.layer)}
    feeds = {
        name: from_onnx(value, layouts.get(name, "as is")) for name, value in found.feeds.items()
    }
    graph_def, inputs = source.piece(found.layer.name, feeds)
    path = save_graph_def(graph_def, folder / ("reference.pb", "piece.pb")[side])
    return {
        "file": path.name,
        "runtime": source.runtime.title,
        "side": _side(side),
        "inputs": inputs,
        "name": found.layer.name,
        "output": source.called(found.layer.name),
        "layouts": {name: layout for name, layout in layouts.items() if layout != "as is"},
    }


def _side(side: int | None) -> str:
    return "" if side is None else ("reference", "judged")[side]
