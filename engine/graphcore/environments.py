"""The other Python environments on this machine: old TensorFlows and third-party runtimes."""

import os
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]
_EXECUTABLE = "Scripts/python.exe" if os.name == "nt" else "bin/python"


def folder() -> Path:
    """Return the folder of the environments: $NBHELPERS_ENVS, or `.envs` in the checkout."""
    return Path(os.environ.get("NBHELPERS_ENVS") or _CHECKOUT / ".envs")


def python(name: str) -> Path:
    """Return the path of an environment's Python, whether it exists or not."""
    return folder() / name / _EXECUTABLE
