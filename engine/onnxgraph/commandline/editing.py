"""Commands that change the graph and write a new file."""

from pathlib import Path
from typing import Any

import click
import numpy as np

import onnxgraph
from graphcore.command_options import FILE, parsed
from graphcore.commandline import Answer
from graphcore.spec import parse_pairs
from onnxgraph.commandline import answers, options
from onnxgraph.commandline.program import program
from onnxgraph.editing.result import Edited

others = click.option(
    "--other",
    "others",
    multiple=True,
    metavar="TENSOR",
    help="What the new node reads besides: a tensor's name, or an .npy file; may be repeated.",
)
position = click.option(
    "--position",
    type=click.IntRange(min=0),
    default=0,
    metavar="PLACE",
    help="Where among its inputs, counted from 0, the new node reads the tensor.",
)
node_name = click.option("--name", default="", metavar="NAME", help="Name of the new node.")


@program.command(example="onnxgraph cut model.onnx --to rows -o part.onnx")
@options.model_file
@options.output_file
@click.option("--from", "inputs", multiple=True, metavar="TENSOR", help="Where the part begins.")
@click.option("--to", "outputs", multiple=True, metavar="TENSOR", help="Where the part ends.")
@options.proof(True)
@options.examples
def cut(
    model: Path, output: Path, inputs: tuple[str, ...], outputs: tuple[str, ...], prove: bool
) -> Answer:
    """Cut out the part between some tensors.

    --from and --to may be repeated; left out, the part begins or ends where the model does.
    """
    given = options.load(model)
    return _saved(
        onnxgraph.cut(given, inputs=inputs or None, outputs=outputs or None), output, prove
    )


@program.command(example="onnxgraph add-outputs model.onnx active -o watched.onnx")
@options.model_file
@click.argument("tensors", nargs=-1, required=True)
@options.output_file
@options.proof(True)
@options.examples
def add_outputs(model: Path, tensors: tuple[str, ...], output: Path, prove: bool) -> Answer:
    """Make inner TENSORS outputs too, after the model's own."""
    return _saved(onnxgraph.add_outputs(options.load(model), tensors), output, prove)


@program.command(example="onnxgraph rename model.onnx images=pixels -o renamed.onnx")
@options.model_file
@click.argument("names", nargs=-1, required=True, callback=parsed(parse_pairs), metavar="OLD=NEW…")
@options.output_file
@options.proof(True)
@options.examples
def rename(model: Path, names: dict[str, str], output: Path, prove: bool) -> Answer:
    """Rename inputs, outputs, weights and inner tensors."""
    return _saved(onnxgraph.rename(options.load(model), names), output, prove)


@program.command(example="onnxgraph rename-nodes model.onnx act=relu1 -o renamed.onnx")
@options.model_file
@click.argument("names", nargs=-1, required=True, callback=parsed(parse_pairs), metavar="OLD=NEW…")
@options.output_file
@options.proof(True)
@options.examples
def rename_nodes(model: Path, names: dict[str, str], output: Path, prove: bool) -> Answer:
    """Rename nodes.

    A node without a name is called by a tensor that it writes.
    """
    return _saved(onnxgraph.rename_nodes(options.load(model), names), output, prove)


@program.command(example="onnxgraph remove model.onnx act -o straight.onnx")
@options.model_file
@click.argument("nodes", nargs=-1, required=True)
@options.output_file
@click.option("--through", default="", metavar="TENSOR", help="Which input takes over.")
@options.proof(False)
@options.examples
def remove(model: Path, nodes: tuple[str, ...], output: Path, through: str, prove: bool) -> Answer:
    """Take NODES out.

    What read their output reads their input instead.
    """
    return _saved(onnxgraph.remove(options.load(model), nodes, through=through), output, prove)


@program.command(example="onnxgraph replace model.onnx act --op Sigmoid -o smooth.onnx")
@options.model_file
@click.argument("nodes", nargs=-1, required=True)
@options.output_file
@click.option("--op", required=True, metavar="OP", help="The new operator, such as Mul.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="TENSOR",
    help="What it reads: a tensor's name or an .npy file; left out, what the old nodes read.",
)
@options.attributes
@node_name
@options.proof(False)
@options.examples
def replace(
    model: Path,
    nodes: tuple[str, ...],
    output: Path,
    op: str,
    inputs: tuple[str, ...],
    attributes: dict[str, Any],
    name: str,
    prove: bool,
) -> Answer:
    """Put one new node in the place of NODES."""
    read = [*map(_operand, inputs)] or None
    result = onnxgraph.replace(
        options.load(model), nodes, op, inputs=read, attributes=attributes, name=name
    )
    return _saved(result, output, prove)


@program.command(example="onnxgraph insert-after model.onnx act --op Neg -o negated.onnx")
@options.model_file
@click.argument("place")
@options.output_file
@click.option("--op", required=True, metavar="OP", help="The new operator, such as Mul.")
@others
@position
@options.attributes
@node_name
@options.proof(False)
@options.examples
def insert_after(
    model: Path,
    place: str,
    output: Path,
    op: str,
    others: tuple[str, ...],
    position: int,
    attributes: dict[str, Any],
    name: str,
    prove: bool,
) -> Answer:
    """Put a new node behind a tensor, for all its readers.

    PLACE is a tensor, or a node with one output.
    """
    made: dict[str, Any] = {"position": position, "attributes": attributes, "name": name}
    read = [*map(_operand, others)]
    result = onnxgraph.insert_after(options.load(model), place, op, others=read, **made)
    return _saved(result, output, prove)


@program.command(example="onnxgraph insert-before model.onnx flat --op Neg -o negated.onnx")
@options.model_file
@click.argument("node")
@options.output_file
@click.option("--op", required=True, metavar="OP", help="The new operator, such as Mul.")
@click.option("--tensor", default="", metavar="TENSOR", help="Which input of NODE; else its first.")
@others
@position
@options.attributes
@node_name
@options.proof(False)
@options.examples
def insert_before(
    model: Path,
    node: str,
    output: Path,
    op: str,
    tensor: str,
    others: tuple[str, ...],
    position: int,
    attributes: dict[str, Any],
    name: str,
    prove: bool,
) -> Answer:
    """Put a new node in front of one node.

    Other nodes that read the same tensor are left as they are.
    """
    made: dict[str, Any] = {"position": position, "attributes": attributes, "name": name}
    read = [*map(_operand, others)]
    result = onnxgraph.insert_before(
        options.load(model), node, op, tensor=tensor, others=read, **made
    )
    return _saved(result, output, prove)


@program.command(
    example="onnxgraph set-attributes model.onnx scores --attribute alpha=2.0 -o steep.onnx"
)
@options.model_file
@click.argument("node")
@options.output_file
@options.attributes
@options.proof(False)
@options.examples
def set_attributes(
    model: Path, node: str, output: Path, attributes: dict[str, Any], prove: bool
) -> Answer:
    """Set attributes of a node.

    null removes an attribute, so that the operator's default counts.
    """
    result = onnxgraph.set_attributes(options.load(model), node, **attributes)
    return _saved(result, output, prove)


@program.command(example="onnxgraph set-weight model.onnx bias zeros.npy -o unbiased.onnx")
@options.model_file
@click.argument("name")
@click.argument("array", type=FILE)
@options.output_file
@click.option("--only-for", default="", metavar="NODE", help="The node that alone reads it anew.")
@options.proof(False)
@options.examples
def set_weight(
    model: Path, name: str, array: Path, output: Path, only_for: str, prove: bool
) -> Answer:
    """Set a weight to the values in a file.

    ARRAY is an .npy file of the dtype and shape of the weight NAME.
    """
    given, value = options.load(model), options.read_array(array)
    return _saved(onnxgraph.set_weight(given, name, value, only_for=only_for), output, prove)


@program.command(example="onnxgraph join front.onnx back.onnx --feed pooled=pooled -o whole.onnx")
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
@options.output_file
@click.option(
    "--feed",
    "feeds",
    multiple=True,
    required=True,
    callback=parsed(parse_pairs),
    metavar="INPUT=OUTPUT",
    help="An input of SECOND, and the output of FIRST that feeds it; may be repeated.",
)
def join(first: Path, second: Path, output: Path, feeds: dict[str, str]) -> Answer:
    """Join two models: FIRST feeds SECOND."""
    result = onnxgraph.join(options.load(first), options.load(second), feeds)
    return answers.saved(result, output)


@program.command(example="onnxgraph infer-shapes model.onnx -o inferred.onnx")
@options.model_file
@options.output_file
def infer_shapes(model: Path, output: Path) -> Answer:
    """Note the dtypes and shapes of inner tensors.

    They are noted as far as ONNX infers them.
    """
    given = options.load(model)
    after = onnxgraph.infer_shapes(given)
    counts = len(given.graph.value_info), len(after.graph.value_info)
    change = "inner tensors with a noted shape: {} → {}".format(*counts)
    return answers.saved(Edited(after, given, (change,)), output)


def _saved(result: Edited, output: Path, prove: bool) -> Answer:
    """Prove an edit if that is wanted, and write it."""
    return answers.saved(result.proven() if prove else result, output)


def _operand(text: str) -> str | np.ndarray:
    """Return what a new node reads: the array in an .npy file, else the tensor of that name."""
    return options.read_array(Path(text)) if text.endswith(".npy") else text
