"""The program itself; importing the modules beside this one adds its commands."""

import click

from graphcore.commandline import Program
from graphcore.targets import NAMES, NEWEST

NEEDS = {"tensorflow": "tf"}
"""What every command needs, and the extra that installs it."""

program = Program(
    "tfgraph",
    "Convert ONNX models to graphs for any TensorFlow from 1.4 to today, and TensorFlow models of "
    "any age to ONNX. What is written was compared before; what cannot be converted is refused.",
)

target = click.option(
    "--target",
    type=click.Choice(NAMES),
    default=NEWEST.name,
    help="The oldest TensorFlow that must load the graph.",
)

runtime = click.option(
    "--runtime",
    type=click.Choice(NAMES),
    default=NEWEST.name,
    help="The TensorFlow that runs a frozen graph: tf2 is the one installed beside this program.",
)

signature = click.option(
    "--signature", metavar="NAME", help="A signature of a SavedModel; serving_default if left out."
)

tags = click.option(
    "--tag",
    "tags",
    multiple=True,
    default=("serve",),
    metavar="TAG",
    help="A tag of a SavedModel's graph; may be repeated.",
)


def main() -> None:
    """Run the command line."""
    program.main()
