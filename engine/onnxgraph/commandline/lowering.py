"""The command that lowers the opset of a model."""

from pathlib import Path

import click

import onnxgraph
from graphcore import parity
from graphcore.commandline import Answer
from onnxgraph.commandline import answers, options
from onnxgraph.commandline.program import program


@program.command(example="onnxgraph lower model.onnx --opset 11 -o old.onnx")
@options.model_file
@options.output_file
@click.option("--opset", type=int, required=True, metavar="OPSET", help="The opset, 9 or higher.")
@options.batches
@options.tolerance(parity.TOLERANCE)
@options.examples
def lower(
    model: Path, output: Path, opset: int, batches: tuple[int, ...], tolerance: float
) -> Answer:
    """Write a model in an older opset.

    It gets the IR version of that time, and is compared with the model before.
    """
    result = onnxgraph.lower_opset(options.load(model), opset, batches=batches, tolerance=tolerance)
    return answers.saved(result, output)
