"""The memory that a runtime needs for an artefact, estimated before it runs."""

from pathlib import Path

PROGRAM = 400_000_000
"""Bytes that a runtime needs without any model."""

COPIES = 5
"""How many times the size of an artefact is used while it is read, optimised and run: the message,
the graph made from it, the folded constants, and the weights in the kernels' own layout.
"""


def needed(artefact: Path) -> int:
    """Return an upper estimate of the bytes that a runtime needs for a file or a folder."""
    files = artefact.rglob("*") if artefact.is_dir() else [artefact]
    return PROGRAM + COPIES * sum(file.stat().st_size for file in files if file.is_file())
