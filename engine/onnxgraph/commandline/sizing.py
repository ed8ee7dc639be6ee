"""Commands that change the sizes of a model, and the dtypes of its inputs."""

from pathlib import Path

import click

import onnxgraph
from graphcore.command_options import FILE, parsed, whole_numbers
from graphcore.commandline import Answer
from graphcore.errors import Refusal
from graphcore.spec import TensorSpec, parse_axes, parse_specs
from onnxgraph.commandline import answers, options
from onnxgraph.commandline.program import program


def axes_to_free(text: str) -> dict[str, dict[int, str]]:
    """Read "images:2=height images:3=width": input → axis → symbol.

    Raises:
        Refusal: one of them is not that.
    """
    found: dict[str, dict[int, str]] = {}
    for each in text.split():
        place, _, symbol = each.partition("=")
        name, _, axis = place.rpartition(":")
        if not (name and symbol and axis.isdecimal() and len(axis) < 4):
            raise Refusal(f"Write INPUT:AXIS=SYMBOL, as in images:2=height, not {each!r}.")
        found.setdefault(name, {})[int(axis)] = symbol
    return found


@program.command(example="onnxgraph dynamic fixed.onnx -o dynamic.onnx")
@options.model_file
@options.output_file
@click.option("--symbol", default="batch", metavar="SYMBOL", help="What the batch is called.")
@click.option(
    "--axis",
    "axes",
    multiple=True,
    callback=parsed(parse_axes),
    metavar="INPUT=AXIS",
    help="An input that carries the batch, and on which axis; may be repeated. Left out, they are "
    "found.",
)
@options.examples
def dynamic(model: Path, output: Path, symbol: str, axes: dict[str, int] | None) -> Answer:
    """Make a fixed batch dynamic.

    Every row must be what the model gives for this row alone; otherwise all nodes that stand in
    the way are named.
    """
    result = onnxgraph.make_batch_dynamic(options.load(model), symbol=symbol, axes=axes)
    return answers.saved(result, output)


@program.command(example="onnxgraph free square.onnx --axis images:2=height -o free.onnx")
@options.model_file
@options.output_file
@click.option(
    "--axis",
    "axes",
    multiple=True,
    required=True,
    callback=parsed(axes_to_free),
    metavar="INPUT:AXIS=SYMBOL",
    help="A fixed axis of an input, and what it will be called; may be repeated.",
)
@click.option(
    "--reference",
    "references",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="The same network exported at another size, to compare with; may be repeated.",
)
@options.examples
def free(
    model: Path, output: Path, axes: dict[str, dict[int, str]], references: tuple[Path, ...]
) -> Answer:
    """Make fixed dims of the inputs symbolic.

    For the batch use `onnxgraph dynamic`.
    """
    others = [*map(options.load, references)]
    return answers.saved(onnxgraph.free_dims(options.load(model), axes, references=others), output)


@program.command(example="onnxgraph fix model.onnx batch=1 -o one.onnx")
@options.model_file
@click.argument(
    "sizes", nargs=-1, required=True, callback=parsed(whole_numbers), metavar="SYMBOL=SIZE…"
)
@options.output_file
@options.examples
def fix(model: Path, sizes: dict[str, int], output: Path) -> Answer:
    """Fix symbolic dims of the inputs."""
    return answers.saved(onnxgraph.fix_dims(options.load(model), sizes), output)


@program.command(example="onnxgraph set-inputs model.onnx images:uint8:batch,3,8,8 -o bytes.onnx")
@options.model_file
@click.argument("specs", nargs=-1, required=True, callback=parsed(parse_specs), metavar="SPEC…")
@options.output_file
@click.option("--try-run/--no-try-run", default=True, help="Run the result at two batch sizes.")
@options.examples
def set_inputs(model: Path, specs: tuple[TensorSpec, ...], output: Path, try_run: bool) -> Answer:
    """Set dtypes and shapes of inputs.

    A SPEC is written name:dtype:dims, as in images:uint8:batch,3,224,224.
    """
    result = onnxgraph.set_inputs(options.load(model), specs, try_run=try_run)
    return answers.saved(result, output)
