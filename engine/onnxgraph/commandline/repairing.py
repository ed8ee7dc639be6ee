"""Commands that repair files of other exporters, and that let a model take pictures as they are."""

from collections.abc import Callable
from pathlib import Path

import click

from graphcore.command_options import FILE
from graphcore.commandline import Answer
from graphcore.golden import load_golden
from onnxgraph import repairs
from onnxgraph.commandline import answers, options
from onnxgraph.commandline.program import program
from onnxgraph.editing.result import Edited

REPAIRS: dict[str, Callable[..., Edited]] = {
    "casts": repairs.remove_shape_casts,
    "dropout": repairs.remove_dropout,
    "flatten": repairs.repair_missing_flatten,
    "reshapes": repairs.fold_reshapes,
    "spatial": repairs.repair_spatial,
}
"""Repairs whose evidence is in the file."""

BY_CASES: dict[str, Callable[..., Edited]] = {
    "gamma": repairs.repair_fix_gamma,
    "padding": repairs.repair_count_include_pad,
    "gamma-and-padding": repairs.repair_to_golden,
}
"""Repairs whose evidence is recorded outputs."""


@program.command(example="onnxgraph repair reshapes model.onnx -o repaired.onnx")
@click.argument("kind", type=click.Choice([*REPAIRS, *BY_CASES]))
@options.model_file
@options.output_file
@click.option(
    "--golden",
    "cases",
    type=FILE,
    metavar="FILE",
    help="A golden.npz: the evidence for gamma, padding and gamma-and-padding.",
)
@options.examples
def repair(kind: str, model: Path, output: Path, cases: Path | None) -> Answer:
    """Repair a file of another exporter, on evidence.

    Without evidence the model is written as it came in, and the reason is told.

    \b
    casts     removes casts to the type that is there already, and pairs around shapes
    dropout   removes every Dropout
    flatten   inserts a Flatten before a Gemm that takes more than two dims
    reshapes  writes the target of a Reshape as a constant
    spatial   removes the attribute spatial of BatchNormalization
    gamma     sets gammas of BatchNormalization to ones (fix_gamma of MXNet)
    padding   lets AveragePool count its padding (count_include_pad)
    """
    given = options.load(model)
    if kind in REPAIRS:
        return answers.saved(REPAIRS[kind](given), output)
    return answers.saved(BY_CASES[kind](given, load_golden(cases) if cases else ()), output)


@program.command(
    example="onnxgraph take-images model.onnx --mean 0.5 0.5 0.5 --std 0.2 0.2 0.2 -o camera.onnx"
)
@options.model_file
@options.output_file
@click.option("--mean", type=float, nargs=3, required=True, help="Of each channel, in 0 … 1.")
@click.option("--std", type=float, nargs=3, required=True, help="Of each channel, in 0 … 1.")
@click.option("--name", metavar="INPUT", help="The input; else the only one of rank 4.")
@click.option("--channels-last", is_flag=True, help="Take height × width × channels.")
@options.batches
@options.examples
def take_images(
    model: Path,
    output: Path,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    name: str | None,
    channels_last: bool,
    batches: tuple[int, ...],
) -> Answer:
    """Let a model take uint8 pictures.

    It normalises the three channels itself: (x / 255 - mean) / std.
    """
    result = repairs.take_images(
        options.load(model),
        mean=mean,
        std=std,
        name=name,
        channels_last=channels_last,
        batches=batches,
    )
    return answers.saved(result, output)


@program.command(example="onnxgraph take-channels-last model.onnx -o nhwc.onnx")
@options.model_file
@options.output_file
@click.option("--name", metavar="INPUT", help="The input; else the only one of rank 4.")
@options.batches
@options.examples
def take_channels_last(
    model: Path, output: Path, name: str | None, batches: tuple[int, ...]
) -> Answer:
    """Let a model take pictures with channels last.

    They are batch × height × width × channels then, of the same dtype.
    """
    result = repairs.take_channels_last(options.load(model), name=name, batches=batches)
    return answers.saved(result, output)
