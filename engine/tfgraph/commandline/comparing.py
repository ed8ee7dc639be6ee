"""Commands that hold a graph against the ONNX model that it was made of."""

import json
from pathlib import Path
from typing import Any

import click

import tfgraph
from graphcore.atomic_files import write_text
from graphcore.command_options import FILE, NEW_FILE
from graphcore.commandline import Answer
from graphcore.errors import GraphError
from graphcore.parity import TOLERANCE
from graphcore.spec import Feeds
from graphcore.writing import writing
from onnxgraph.commandline import options
from onnxgraph.commandline.answers import layer_data
from onnxgraph.comparing.difference import Difference
from onnxgraph.examples.reference import reference_runs
from tfgraph.commandline.program import NEEDS, program, runtime


@program.command(example="tfgraph names model.onnx graph.pb -o names.json", needs=NEEDS)
@options.model_file
@click.argument("graph", type=FILE)
@click.option(
    "-o", "--output", type=NEW_FILE, metavar="FILE", help="Where to write the map, in JSON."
)
@options.tolerance(TOLERANCE)
@options.examples
def names(model: Path, graph: Path, output: Path | None, tolerance: float) -> Answer:
    """Find the tensor that stands for each ONNX tensor.

    A pair counts only if both runtimes give the same values, with the channels first or last.
    """
    given = options.load(model)
    graph_def = tfgraph.load_graph_def(graph)
    found = tfgraph.twins(given, graph_def, _feeds(model), tolerance=tolerance)
    text = tfgraph.names_json(found)
    if output:
        with writing(output, error=GraphError):
            write_text(output, text)
    width = max((len(each.onnx) for each in found), default=0)
    lines = [f"{each.onnx:<{width}}  {each.tensor}  ({each.layout})" for each in found]
    return Answer(
        "\n".join(lines or ["no tensor has a twin"]),
        {"written": output, "names": json.loads(text)},
        bool(found),
    )


@program.command(example="tfgraph diff model.onnx graph.pb", needs=NEEDS)
@click.argument("reference", type=FILE)
@click.argument("judged", type=FILE)
@click.option("--model", type=FILE, metavar="FILE", help="The ONNX model, if neither side is one.")
@runtime
@click.option(
    "--reproduce",
    "folder",
    type=FILE,
    metavar="FOLDER",
    help="Where to write the smallest graph that shows the difference, and a script that runs it.",
)
@options.tolerance(TOLERANCE)
@options.examples
def diff(
    reference: Path,
    judged: Path,
    model: Path | None,
    runtime: str,
    folder: Path | None,
    tolerance: float,
) -> Answer:
    """Find the first op that differs.

    Two sides are compared tensor by tensor, in the order of the graph.

    A side is an ONNX model, a frozen graph, a SavedModel's folder, or an .npz of what PyTorch
    computed (record_activations). Inputs are drawn, unless an .npz holds them.
    """
    onnx_file = next((each for each in (model, reference, judged) if _ends(each, ".onnx")), None)
    recorded = any(_ends(each, ".npz") for each in (reference, judged))
    settings: dict[str, Any] = {"model": model, "runtime": runtime, "tolerance": tolerance}
    feeds = None if recorded or onnx_file is None else _feeds(onnx_file)
    found = tfgraph.compare_layers(reference, judged, feeds, **settings)
    first = None
    if not found.ok:
        first = tfgraph.first_difference(reference, judged, feeds, folder=folder, **settings)
    data = {
        "title": found.title,
        "layers": [layer_data(each) for each in found.layers],
        "missing": found.missing,
        "first_difference": first and _difference(first),
    }
    return Answer("\n".join(map(repr, filter(None, (found, first)))), data, found.ok)


def _feeds(model: Path) -> Feeds:
    """Return inputs that the model takes: those of --examples, else drawn ones."""
    return reference_runs(options.load(model), batches=(2,))[0][1]


def _ends(path: Path | None, ending: str) -> bool:
    return path is not None and path.suffix == ending


def _difference(found: Difference) -> dict[str, Any]:
    return {
        "tensor": layer_data(found.layer),
        "nodes": found.nodes,
        "confirmed": found.confirmed,
        "healed": found.healed,
    }
