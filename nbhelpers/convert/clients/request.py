"""The request to a client's script: the model, the names of its tensors, and where to put answers.

Arrays are named by their golden names. `inputs` and `outputs` map these to the artefact's names,
`tensors` to those of the graph inside a SavedModel.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphcore.golden import Case
from nbhelpers.convert.proving.artefacts import Artefact
from tfgraph.graphs.graphdef import load_graph_def
from tfgraph.savedmodels.checking import check_artefact
from tfgraph.savedmodels.reading import read_saved_model

MADE = "made.model"
"""The file that a converter makes from an artefact."""


def request_for(
    artefact: Artefact, folder: Path, cases: Sequence[Case], scratch: Path, *, threads: int
) -> dict[str, Any]:
    """Return the request, as JSON data.

    Args:
        artefact: the artefact to run.
        folder: the handoff folder.
        cases: its golden cases. The request contains the shapes of two of them.
        scratch: an empty folder for the client's files.
        threads: the number of threads that the client may use.
    """
    model = (folder / artefact.path).absolute()
    check_artefact(model)
    return {
        "model": str(model),
        "kind": artefact.kind,
        "inputs": dict(artefact.inputs),
        "outputs": dict(artefact.outputs),
        "signature": artefact.signature,
        "tags": list(artefact.tags),
        "tensors": _tensors(artefact, model),
        "aliases": _aliases(artefact, model) if artefact.kind == "frozen" else {},
        "shapes": [
            [
                [list(case.inputs[name].shape), case.inputs[name].dtype.name]
                for name in artefact.inputs
            ]
            for case in _two_sizes(cases)
        ],
        "golden": str((folder / "golden.npz").absolute()),
        "scratch": str(scratch),
        "answers": str(scratch / "answers"),
        "made": str(scratch / MADE),
        "library": _library(),
        "threads": threads,
    }


def _tensors(artefact: Artefact, model: Path) -> dict[str, dict[str, str]]:
    sides = {"inputs": dict(artefact.inputs), "outputs": dict(artefact.outputs)}
    if artefact.kind != "savedmodel":
        return sides
    signature = read_saved_model(model, tags=artefact.tags).signatures[artefact.signature]
    return {
        side: {name: vars(signature)[side][key] for name, key in keys.items()}
        for side, keys in sides.items()
    }


def _aliases(artefact: Artefact, model: Path) -> dict[str, list[str]]:
    """Return tensor → its node, and the nodes before it that are separated only by an Identity."""
    nodes = {node.name: node for node in load_graph_def(model).node}
    found = {}
    for tensor in (*artefact.inputs.values(), *artefact.outputs.values()):
        names = [tensor.removesuffix(":0")]
        while names[-1] in nodes and nodes[names[-1]].op == "Identity":
            names.append(nodes[names[-1]].input[0])
        found[tensor] = names
    return found


def _two_sizes(cases: Sequence[Case]) -> list[Case]:
    """Return the first case, and the next case with another batch size if there is one."""
    other = [case for case in cases if case.batch != cases[0].batch]
    return [cases[0], *other[:1]]


def _library() -> str:
    """Return the path of TensorFlow's shared library, without importing TensorFlow."""
    spec = importlib.util.find_spec("tensorflow")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    return str(next(folder.glob("libtensorflow_cc.*"), ""))
