"""Commands that convert: ONNX to TensorFlow, and TensorFlow to ONNX."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import tfgraph
from graphcore.command_options import FILE, NEW_FILE, named_values, parsed
from graphcore.commandline import Answer
from graphcore.parity import TOLERANCE, Report
from graphcore.spec import parse_pairs, parse_specs
from graphcore.targets import NEWEST
from onnxgraph.commandline import options
from onnxgraph.commandline.answers import reports_data
from tfgraph.commandline.program import NEEDS, program, signature, tags, target
from tfgraph.conversion import Conversion
from tfgraph.runtimes import runtimes
from tfgraph.toonnx.verb import OPSET

verify = click.option(
    "--verify/--no-verify",
    default=True,
    help="Compare before anything is written; without it the result is unproven.",
)

ADVICE = (
    "run `make legacy` in a checkout of the workbook, and set NBHELPERS_ENVS to the folder .envs "
    "there"
)


@dataclass(frozen=True)
class Proof:
    """How well a conversion is proven.

    `status` is "proven" if the target's own TensorFlow ran it, "schema-checked" if only TensorFlow
    2 did, and "unproven"; `note` says why, and what to do.
    """

    status: str
    note: str
    reports: Sequence[Report] = ()


@program.command(example="tfgraph convert model.onnx --target tf1.15", needs=NEEDS)
@options.model_file
@click.option(
    "-o",
    "--output",
    type=NEW_FILE,
    metavar="FILE",
    help="The graph to write; left out, MODEL.TARGET.pb in this folder.",
)
@target
@verify
@options.tolerance(TOLERANCE)
@options.examples
def convert(
    model: Path, output: Path | None, target: str, verify: bool, tolerance: float
) -> Answer:
    """Convert an ONNX model to a frozen graph.

    The graph is compared with onnxruntime in this TensorFlow, and for an older target in that one
    too, if it is installed; otherwise it is checked against the ops that the target knows.
    """
    made = tfgraph.onnx2tf(model, None, target=target, verify=verify, tolerance=tolerance)
    proof = _proof(made, model, tolerance)
    written = tfgraph.written(made, output or f"{model.stem}.{target}.pb")
    return Answer(_conversion_text(written, proof), _conversion_data(written, proof))


@program.command(example="tfgraph preflight model.onnx --target tf1.4", needs=NEEDS)
@options.model_file
@target
def preflight(model: Path, target: str) -> Answer:
    """List nodes that cannot be converted, and why."""
    found = tfgraph.preflight(model, target)
    data = {"target": target, "nodes": found.nodes, "obstacles": found.rows()}
    return Answer(repr(found), data, found.ok)


@program.command(
    "onnx", example="tfgraph onnx graph.pb -o back.onnx", needs={**NEEDS, "tf2onnx": "tf"}
)
@click.argument("source", type=FILE)
@options.output_file
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]TENSOR",
    help="A tensor that becomes an input, and its name in ONNX; may be repeated. Left out, those "
    "of the signature, else all placeholders.",
)
@click.option(
    "--output-tensor",
    "outputs",
    multiple=True,
    metavar="[NAME=]TENSOR",
    help="A tensor that becomes an output; likewise.",
)
@click.option("--nchw", is_flag=True, help="Take and give all pictures with their channels first.")
@click.option(
    "--nchw-tensor", multiple=True, metavar="NAME", help="Only this one; may be repeated."
)
@click.option("--batch", metavar="SIZE", help="The batch: a number, or a symbol such as batch.")
@click.option("--opset", type=int, default=OPSET, metavar="OPSET", help="The opset to write.")
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    callback=parsed(parse_specs),
    metavar="NAME:DIMS",
    help="Sizes that SOURCE leaves open, as images:batch,224,224,3; may be repeated.",
)
@click.option(
    "--fixed",
    multiple=True,
    callback=named_values,
    metavar="TENSOR=VALUE",
    help="A switch that shall be no input, as keep_prob=1.0; may be repeated.",
)
@click.option(
    "--checkpoint", type=FILE, metavar="FILE", help="Where an unfrozen .pb has its values."
)
@signature
@tags
@verify
@options.tolerance(TOLERANCE)
@options.examples
def to_onnx(
    source: Path,
    output: Path,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    nchw: bool,
    nchw_tensor: tuple[str, ...],
    batch: str | None,
    shapes: Any,
    **settings: Any,
) -> Answer:
    """Convert a TensorFlow model to ONNX.

    It is compared with TensorFlow before it is written. SOURCE is a frozen graph (.pb), a
    checkpoint of TensorFlow 1 (its prefix, .meta file or folder), a SavedModel's folder, or the
    file of a Keras model.
    """
    open_sizes = {
        spec.name: [dim if isinstance(dim, int) else None for dim in spec.shape]
        for spec in shapes or ()
    }
    made = tfgraph.tf2onnx(
        source,
        output,
        inputs=_names(inputs),
        outputs=_names(outputs),
        nchw=list(nchw_tensor) or nchw,
        batch=int(batch) if batch and batch.isdecimal() else batch,
        shapes=open_sizes or None,
        **settings,
    )
    data = {
        "written": made.onnx_path,
        "source": made.source,
        "inputs": [spec.to_json() for spec in made.inputs],
        "outputs": [spec.to_json() for spec in made.outputs],
        "tensors": made.tensors,
        "channels_first": sorted(made.turned),
        "proven": made.proven,
        "proof": reports_data(made.parity),
    }
    return Answer(repr(made), data)


def _names(given: tuple[str, ...]) -> dict[str, str] | list[str] | None:
    """Return ONNX name → tensor, or tensors alone, as they were given."""
    if any("=" in each for each in given):
        try:
            return parse_pairs(" ".join(given))
        except ValueError as error:
            raise click.UsageError(f"Give every tensor a name, or none: {error}") from error
    return list(given) or None


def _proof(made: Conversion, model: Path, tolerance: float) -> Proof:
    """Let the target's own TensorFlow run the conversion, if it is another one and is here."""
    if not made.parity:
        return Proof("unproven", "not compared with anything (--no-verify)")
    if not made.proven:
        return Proof("unproven", "every output is empty, NaN or infinite on every example")
    if made.target == NEWEST.name:
        return Proof("proven", "TensorFlow 2 agrees with onnxruntime", made.parity)
    if made.target in runtimes.missing():
        note = f"the runtime {made.target} is not installed here. For the proof, {ADVICE}"
        return Proof("schema-checked", note, made.parity)
    reports = tfgraph.compare_on_target(made, options.load(model), tolerance=tolerance)
    note = f"the runtime {made.target} agrees with onnxruntime"
    return Proof("proven", note, (*made.parity, *reports))


def _conversion_text(made: Conversion, proof: Proof) -> str:
    """Return what a conversion says of itself, headed by what the target's own TensorFlow says."""
    _, *lines = repr(made).splitlines()
    head = f"Conversion for {made.target} → {made.pb_path}: {proof.status}"
    own = [line for each in proof.reports[len(made.parity) :] for line in repr(each).splitlines()]
    return "\n".join([head, f"  {proof.note}", *lines, *(f"  {line}" for line in own)])


def _conversion_data(made: Conversion, proof: Proof) -> dict[str, Any]:
    steps = [{**vars(each), "nodes": each.nodes} for each in made.steps]
    return {
        "written": made.pb_path,
        "target": made.target,
        "status": proof.status,
        "note": proof.note,
        "inputs": made.inputs,
        "outputs": made.outputs,
        "specs": [spec.to_json() for spec in made.specs.values()],
        "steps": steps,
        "rewrites": [vars(each) for each in made.rewrites],
        "proof": reports_data(proof.reports),
    }
