"""Commands that look into a TensorFlow graph."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

import tfgraph
from graphcore.command_options import FILE
from graphcore.commandline import Answer
from graphcore.errors import Refusal
from tfgraph.commandline.program import NEEDS, program, tags
from tfgraph.savedmodels.reading import SavedModel


@program.command(example="tfgraph look graph.pb --op Conv2D", needs=NEEDS)
@click.argument("graph", type=FILE)
@click.option(
    "--name", default="", metavar="REGEX", help="Tensors whose name matches; case is free."
)
@click.option("--op", default="", metavar="OP", help="Tensors that this op makes, such as Conv2D.")
@click.option("--shape", metavar="SIZES", help="Tensors of this shape, ? for any size: ?,8,8,3.")
@tags
def look(graph: Path, name: str, op: str, shape: str | None, tags: tuple[str, ...]) -> Answer:
    """Show inputs, outputs and signatures of GRAPH, and find tensors in it.

    GRAPH is a frozen graph (.pb, .pbtxt), a SavedModel's folder, or a checkpoint of TensorFlow 1.
    """
    saved = tfgraph.read_saved_model(graph, tags=tags) if _is_saved_model(graph) else None
    view = tfgraph.open_graph(graph)
    data = {
        "nodes": len(view.graph_def.node),
        "ops": tfgraph.op_histogram(view.graph_def),
        "inputs": [asdict(each) for each in view.inputs()],
        "outputs": [asdict(each) for each in view.outputs()],
        "signatures": signatures(saved) if saved else {},
    }
    lines = [repr(saved)] if saved else []
    lines.append(repr(view))
    if name or op or shape:
        found = view.find(name, op=op, shape=_sizes(shape))
        data["found"] = [asdict(each) for each in found]
        lines += [f"  found  {each.name}  {each.op}  {each.dtype}  {each.shape}" for each in found]
    return Answer("\n".join(lines), data)


def signatures(saved: SavedModel) -> dict[str, Any]:
    """Return the signatures of a SavedModel as JSON data."""
    return {
        name: {
            "method": each.method,
            "inputs": {key: saved.specs[tensor].to_json() for key, tensor in each.inputs.items()},
            "outputs": {key: saved.specs[tensor].to_json() for key, tensor in each.outputs.items()},
        }
        for name, each in saved.signatures.items()
    }


def _is_saved_model(path: Path) -> bool:
    return (path / "saved_model.pb").is_file()


def _sizes(text: str | None) -> list[int | None] | None:
    if text is None:
        return None
    sizes = text.split(",") if text else []
    if not all(each == "?" or each.isdecimal() for each in sizes):
        raise Refusal(f"A shape is written with numbers and ?, as in ?,8,8,3, not {text!r}.")
    return [None if each == "?" else int(each) for each in sizes]
