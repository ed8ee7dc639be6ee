"""The command line `torchgraph`: ONNX models as PyTorch modules."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import torchgraph
from graphcore.command_options import FILE, NEW_FILE
from graphcore.commandline import Answer, Program
from graphcore.parity import TOLERANCE
from onnxgraph.commandline import answers, options

if TYPE_CHECKING:
    from torchgraph.importing.imported import Imported

NEEDS = {"torch": "torch", "onnx2pytorch": "torch"}

program = Program(
    "torchgraph",
    "Make PyTorch modules of ONNX models. A module is handed out only if it computes what "
    "onnxruntime computes of the file.",
)


@program.command("import", example="torchgraph import model.onnx -o imported", needs=NEEDS)
@options.model_file
@click.option(
    "-o", "--output", type=FILE, required=True, metavar="FOLDER", help="The folder to write."
)
@click.option(
    "--simplify/--no-simplify", default=True, help="Fold what is constant first (needs onnxsim)."
)
@click.option(
    "--program/--no-program",
    "with_program",
    default=True,
    help="Write program.pt2 too, which PyTorch runs without this package.",
)
@options.tolerance(TOLERANCE)
@options.examples
def import_model(
    model: Path, output: Path, simplify: bool, with_program: bool, tolerance: float
) -> Answer:
    """Make a PyTorch module of an ONNX model.

    It is compared with onnxruntime before it is written. FOLDER gets the weights (safetensors), the
    prepared ONNX model and the exported program; an older folder of this kind is replaced.
    load_imported of torchgraph reads it.
    """
    made = torchgraph.import_onnx(model, simplify=simplify, tolerance=tolerance)
    torchgraph.save_imported(made, output, program=with_program)
    return Answer(f"{made!r}\n  written to {output}", {"written": output, **_data(made)})


@program.command(example="torchgraph preflight model.onnx", needs=NEEDS)
@options.model_file
def preflight(model: Path) -> Answer:
    """List nodes that cannot become PyTorch, and why."""
    found = torchgraph.preflight_import(model)
    rows = [asdict(each) for each in found.obstacles]
    data = {"nodes": len(found.calls) + len(rows), "obstacles": rows}
    return Answer(repr(found), data, found.ok)


@program.command(example="torchgraph look imported", needs=NEEDS)
@click.argument("folder", type=FILE)
def look(folder: Path) -> Answer:
    """Show what an imported FOLDER takes, gives and holds."""
    found = torchgraph.load_imported(folder)
    return Answer(repr(found), _data(found))


@program.command(example="torchgraph run imported inputs.npz -o outputs.npz", needs=NEEDS)
@click.argument("folder", type=FILE)
@click.argument("inputs", type=FILE)
@click.option(
    "-o", "--output", type=NEW_FILE, required=True, metavar="FILE", help="The .npz to write."
)
def run(folder: Path, inputs: Path, output: Path) -> Answer:
    """Run an imported module once.

    INPUTS is an .npz with an array for each input.
    """
    found = torchgraph.load_imported(folder).run(options.read_arrays(inputs))
    options.write_arrays(output, found)
    return answers.arrays(found, output)


def _data(imported: "Imported") -> dict[str, Any]:
    return {
        "inputs": [spec.to_json() for spec in imported.inputs],
        "outputs": [spec.to_json() for spec in imported.outputs],
        "parameters": sum(each.numel() for each in imported.module.parameters()),
        "weights": dict(imported.weights),
        "changes": imported.changes,
        "squared_error": imported.squared_error,
        "proven": bool(imported.reports) and all(each.ok for each in imported.reports),
        "proof": answers.reports_data(imported.reports),
    }


def main() -> None:
    """Run the command line."""
    program.main()
