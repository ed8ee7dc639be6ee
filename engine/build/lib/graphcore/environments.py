"""The other Pythons of this machine that run for us: old TensorFlows, runtimes of other makers."""

import os
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]
_EXECUTABLE = "Scripts/python.exe" if os.name == "nt" else "bin/python"


def folder() -> Path:
    """Return where the environments are: `.envs` of the checkout, or $NBHELPERS_ENVS."""
    return Path(os.environ.get("NBHELPERS_ENVS") or _CHECKOUT / ".envs")


def python(name: str) -> Path:
    """Return where the Python of an environment is, whether it is there or not."""
    return folder() / name / _EXECUTABLE
