"""Commands that look into a model and change nothing."""

import math
from pathlib import Path
from typing import Any

import click
import onnx

import onnxgraph
from graphcore.command_options import parsed, whole_numbers
from graphcore.commandline import Answer
from onnxgraph.commandline import answers, options
from onnxgraph.commandline.program import program
from onnxgraph.model.external import nbytes
from onnxgraph.model.nodes import op_name

TABLES = {"pandas": "tables"}
"""What the verbs that return a table need."""


@program.command(example="onnxgraph look model.onnx")
@options.model_file
def look(model: Path) -> Answer:
    """Show opsets, inputs, outputs, ops and weights."""
    seen = onnxgraph.load(model, keep_external=True, leave_weights=True)
    return Answer(repr(onnxgraph.anatomy(seen)), _outline(seen))


@program.command(example="onnxgraph find model.onnx --op 'Conv*'", needs=TABLES)
@options.model_file
@click.option("--op", default="*", metavar="PATTERN", help="Operators, such as Conv or '*Pool'.")
@click.option("--name", default="*", metavar="PATTERN", help="Names of nodes.")
@click.option("--tensor", default="*", metavar="PATTERN", help="Tensors that it reads or writes.")
@options.attributes
def find(model: Path, op: str, name: str, tensor: str, attributes: dict[str, Any]) -> Answer:
    """List the nodes that match every option.

    Patterns are those of file names: * for any signs, ? for one, [ab] for one of some.
    """
    seen = onnxgraph.load(model, keep_external=True, leave_weights=True)
    found = onnxgraph.find_nodes(seen, op=op, name=name, tensor=tensor, attributes=attributes)
    return answers.table(found, "nodes")


@program.command(example="onnxgraph neighbours model.onnx act --down 2", needs=TABLES)
@options.model_file
@click.argument("node")
@click.option("--up", type=click.IntRange(min=0), default=1, metavar="STEPS", help="Steps back.")
@click.option("--down", type=click.IntRange(min=0), default=1, metavar="STEPS", help="Steps on.")
def neighbours(model: Path, node: str, up: int, down: int) -> Answer:
    """List the nodes around a node.

    NODE is its name, or that of a tensor that it writes.
    """
    seen = onnxgraph.load(model, keep_external=True, leave_weights=True)
    return answers.table(onnxgraph.neighbours(seen, node, up=up, down=down), "nodes")


@program.command(example="onnxgraph cost model.onnx --batch 8")
@options.model_file
@click.option(
    "--batch", type=click.IntRange(min=1), metavar="ROWS", help="Size of a symbolic batch."
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    callback=parsed(whole_numbers),
    metavar="SYMBOL=SIZE",
    help="Size of another symbolic dim; may be repeated.",
)
def cost(model: Path, batch: int | None, sizes: dict[str, int] | None) -> Answer:
    """Estimate multiply-adds and parameters.

    With --json the figures come node by node, too.
    """
    seen = onnxgraph.load(model, keep_external=True, leave_weights=True)
    found = onnxgraph.cost(seen, batch=batch, sizes=sizes)
    data = {
        "multiply_adds": found.macs,
        "parameters": found.parameters,
        "shapes": found.shapes,
        "nodes": [vars(row) for row in found.rows],
        "notes": found.notes,
    }
    return Answer(repr(found), data)


@program.command(example="onnxgraph weights model.onnx", needs=TABLES)
@options.model_file
def weights(model: Path) -> Answer:
    """List the weights in bytes, the largest first."""
    seen = onnxgraph.load(model, keep_external=True, leave_weights=True)
    return answers.table(onnxgraph.weight_sizes(seen), "weights")


def _outline(model: onnx.ModelProto) -> dict[str, Any]:
    graph = model.graph
    return {
        "name": graph.name,
        "ir_version": model.ir_version,
        "opsets": {each.domain or "ai.onnx": each.version for each in model.opset_import},
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "inputs": [spec.to_json() for spec in onnxgraph.inputs(model)],
        "outputs": [spec.to_json() for spec in onnxgraph.outputs(model)],
        "ops": onnxgraph.op_histogram(model),
        "nodes": [{"name": node.name, "op": op_name(node)} for node in graph.node],
        "weights": {
            "count": len(graph.initializer),
            "values": sum(math.prod(each.dims) for each in graph.initializer),
            "bytes": sum(map(nbytes, graph.initializer)),
        },
    }
