"""How much memory a runtime needs for an artefact, before it runs."""

from pathlib import Path

PROGRAM = 400_000_000
"""Bytes that a runtime takes by itself."""

COPIES = 5
"""So many times the size of an artefact is taken while it is read, optimised and run: the message,
the graph made of it, the constants that are folded, the weights in the kernels' own layout.
"""


def needed(artefact: Path) -> int:
    """Return the bytes that a runtime needs at most for a file, or a folder, as a rule of thumb."""
    files = artefact.rglob("*") if artefact.is_dir() else [artefact]
    return PROGRAM + COPIES * sum(file.stat().st_size for file in files if file.is_file())
