"""Commands that run models and compare what they give."""

from pathlib import Path

import click

import onnxgraph
from graphcore import parity
from graphcore.command_options import FILE, NEW_FILE, parsed
from graphcore.commandline import Answer
from graphcore.golden import load_golden
from graphcore.spec import parse_pairs
from onnxgraph.commandline import answers, options
from onnxgraph.commandline.program import program
from onnxgraph.editing import proof
from onnxgraph.examples.reference import reference_runs


@program.command(example="onnxgraph run model.onnx inputs.npz -o outputs.npz")
@options.model_file
@click.argument("inputs", type=FILE)
@click.option(
    "-o", "--output", type=NEW_FILE, required=True, metavar="FILE", help="The .npz to write."
)
@click.option(
    "--fetch",
    multiple=True,
    metavar="TENSOR",
    help="What to compute instead of the outputs, inner tensors too; may be repeated.",
)
def run(model: Path, inputs: Path, output: Path, fetch: tuple[str, ...]) -> Answer:
    """Run a model once with onnxruntime.

    INPUTS is an .npz with an array for each input; `onnxgraph examples` makes one.
    """
    feeds = options.read_arrays(inputs)
    found = onnxgraph.run_onnx(options.load(model), feeds, fetch=fetch or None)
    options.write_arrays(output, found)
    return answers.arrays(found, output)


@program.command(example="onnxgraph examples model.onnx -o inputs.npz")
@options.model_file
@click.option(
    "-o", "--output", type=NEW_FILE, required=True, metavar="FILE", help="The .npz to write."
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=2,
    metavar="ROWS",
    help="Size of the batch, if it is symbolic.",
)
@click.option("--seed", type=int, default=0, metavar="NUMBER", help="Of the random values.")
@options.examples
def examples(model: Path, output: Path, batch: int, seed: int) -> Answer:
    """Draw inputs that a model takes, as an .npz.

    Comparisons run on inputs of this kind.
    """
    _, feeds, _ = reference_runs(options.load(model), batches=(batch,), seed=seed)[0]
    options.write_arrays(output, feeds)
    return answers.arrays(feeds, output)


@program.command(example="onnxgraph diff model.onnx simple.onnx")
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@options.batches
@options.tolerance(proof.TOLERANCE)
@click.option("--seed", type=int, default=0, metavar="NUMBER", help="Of the random inputs.")
@click.option(
    "--output",
    "outputs",
    multiple=True,
    metavar="TENSOR",
    help="An output of AFTER to compare; may be repeated. Left out, all outputs of both.",
)
@click.option(
    "--renamed",
    multiple=True,
    callback=parsed(parse_pairs),
    metavar="BEFORE=AFTER",
    help="A tensor that has another name in AFTER; may be repeated.",
)
@options.examples
def diff(
    before: Path,
    after: Path,
    batches: tuple[int, ...],
    tolerance: float,
    seed: int,
    outputs: tuple[str, ...],
    renamed: dict[str, str] | None,
) -> Answer:
    """Compare the outputs of two models.

    Both run on the same inputs; if outputs differ, they are named, and the exit code is 1.
    """
    reports = onnxgraph.same(
        options.load(before),
        options.load(after),
        batches=batches,
        tolerance=tolerance,
        seed=seed,
        outputs=outputs or None,
        renamed=renamed,
    )
    return answers.compared(reports)


@program.command(example="onnxgraph golden model.onnx golden.npz")
@options.model_file
@click.argument("cases", type=FILE)
@options.tolerance(parity.TOLERANCE)
def golden(model: Path, cases: Path, tolerance: float) -> Answer:
    """Compare a model with recorded outputs.

    CASES is a golden.npz: arrays named case/input/name and case/output/name.
    """
    recorded = load_golden(cases)
    return answers.compared(
        onnxgraph.check_cases(options.load(model), recorded, tolerance=tolerance)
    )
