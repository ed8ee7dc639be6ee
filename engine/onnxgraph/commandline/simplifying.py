"""The command that simplifies a model."""

from pathlib import Path

import click

import onnxgraph
from graphcore.commandline import Answer
from onnxgraph.commandline import answers, options
from onnxgraph.commandline.program import program
from onnxgraph.editing import proof
from onnxgraph.simplifying.simplify import TIMEOUT


@program.command(
    example="onnxgraph simplify model.onnx -o simple.onnx", needs={"onnxsim": "simplify"}
)
@options.model_file
@options.output_file
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=TIMEOUT,
    metavar="SECONDS",
    help="How long the simplifier may take.",
)
@options.tolerance(proof.TOLERANCE)
@options.examples
def simplify(model: Path, output: Path, timeout: float, tolerance: float) -> Answer:
    """Fold constants and remove nodes that do nothing.

    The result is compared with the model before. If it differs, the model is written as it came
    in, and the reason is told.
    """
    result = onnxgraph.simplify(options.load(model), timeout=timeout, tolerance=tolerance)
    return answers.saved(result, output, rolled_back=result.rolled_back, reason=result.reason)
