"""Commands that sign a graph, so that a server or client can call it, and that run it."""

from pathlib import Path
from typing import Any

import click

import tfgraph
from graphcore.command_options import FILE, NEW_FILE, named_values, parsed
from graphcore.commandline import Answer
from graphcore.spec import parse_pairs
from onnxgraph.commandline import answers, options
from tfgraph.commandline.looking import signatures
from tfgraph.commandline.program import NEEDS, program, signature, tags
from tfgraph.savedmodels.reading import SERVING_DEFAULT


@program.command(example="tfgraph sign graph.pb -o served/1 --input pixels=images:0", needs=NEEDS)
@click.argument("graph", type=FILE)
@click.option(
    "-o", "--output", type=FILE, required=True, metavar="FOLDER", help="The folder to write."
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    callback=parsed(parse_pairs),
    metavar="NAME=TENSOR",
    help="The receiver's name of an input, and its tensor; may be repeated. Left out, all "
    "placeholders.",
)
@click.option(
    "--output-tensor",
    "outputs",
    multiple=True,
    callback=parsed(parse_pairs),
    metavar="NAME=TENSOR",
    help="Likewise for an output. Left out, all tensors that nothing reads.",
)
@click.option(
    "--fixed",
    multiple=True,
    callback=named_values,
    metavar="PLACEHOLDER=VALUE",
    help="A switch that shall be no input, as is_training=false; may be repeated.",
)
@signature
@tags
def sign(
    graph: Path,
    output: Path,
    inputs: dict[str, str] | None,
    outputs: dict[str, str] | None,
    fixed: dict[str, Any],
    signature: str | None,
    tags: tuple[str, ...],
) -> Answer:
    """Make a SavedModel of a frozen graph.

    It has the names that the receiver sees. A SavedModel that is in the folder already is replaced
    as a whole. TensorFlow Serving wants a folder whose name is a version number.
    """
    made = tfgraph.build_saved_model(
        graph,
        output,
        inputs=inputs,
        outputs=outputs,
        signature=signature or SERVING_DEFAULT,
        tags=tags,
        fixed=fixed,
    )
    data = {"written": made.path, "tags": made.tags, "signatures": signatures(made)}
    return Answer(repr(made), data)


@program.command(example="tfgraph run graph.pb inputs.npz -o outputs.npz", needs=NEEDS)
@click.argument("graph", type=FILE)
@click.argument("inputs", type=FILE)
@click.option(
    "-o", "--output", type=NEW_FILE, required=True, metavar="FILE", help="The .npz to write."
)
@click.option(
    "--fetch",
    multiple=True,
    metavar="TENSOR",
    help="What to compute instead of the outputs of a frozen graph; may be repeated.",
)
@signature
@tags
def run(
    graph: Path,
    inputs: Path,
    output: Path,
    fetch: tuple[str, ...],
    signature: str | None,
    tags: tuple[str, ...],
) -> Answer:
    """Run a frozen graph or a SavedModel once.

    INPUTS is an .npz with an array for each input. A SavedModel takes and gives the names of its
    signature, a frozen graph those of its tensors.
    """
    feeds = options.read_arrays(inputs)
    if graph.is_dir():
        if fetch:
            raise click.UsageError("--fetch is for a frozen graph; a SavedModel gives its outputs.")
        name = signature or SERVING_DEFAULT
        found = tfgraph.call_saved_model(graph, feeds, signature=name, tags=tags)
    else:
        found = tfgraph.run_tf(graph, feeds, fetch=fetch or None)
    options.write_arrays(output, found)
    return answers.arrays(found, output)
