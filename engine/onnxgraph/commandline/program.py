"""The program itself; importing the modules beside this one adds its commands."""

from graphcore.commandline import Program

program = Program(
    "onnxgraph",
    "Look into an ONNX model, run it, change it, and prove the change. A model that is not valid "
    "is refused. A file is written as a whole or not at all, and replaces an older one.",
)


def main() -> None:
    """Run the command line."""
    program.main()
