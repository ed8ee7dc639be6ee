"""Kernelspecs: which Python Jupyter starts for a kernel, and whether that kernel is ours.

Jupyter finds a kernelspec by its name alone. Another project can have one of the same name, in a
folder that Jupyter searches first or in the place of ours. The notebooks then start its Python.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

HOST = "th"
"""The environment that runs JupyterLab, where our kernels are registered."""


@dataclass(frozen=True)
class KernelSpec:
    """A kernelspec: the kernel's name, the folder of its `kernel.json`, and the Python it
    starts."""

    name: str
    folder: Path
    python: Path

    @property
    def is_ours(self) -> bool:
        """Whether it is in the folder where our setup registers it."""
        return self.folder in (_kernels(Path(sys.prefix)) / self.name, _beside() / self.name)

    @property
    def cure(self) -> str:
        """The command that makes our kernel the one of this name."""
        if self.is_ours:
            return "make setup"
        return f"mv '{self.folder}' '{self.folder}-other' && make setup"


def find(name: str) -> KernelSpec | None:
    """Return the kernelspec that Jupyter uses for a kernel, or None if there is none.

    The folders are those that Jupyter searches, and the environment `th` beside this one.
    """
    for folder in (*_places(), _beside()):
        try:
            spec = json.loads((folder / name / "kernel.json").read_text(encoding="utf-8"))
            return KernelSpec(name, folder / name, Path(spec["argv"][0]))
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            continue
    return None


def _places() -> list[Path]:
    try:
        from jupyter_core.paths import jupyter_path
    except ImportError:  # this is the Python of another project
        return []
    return [Path(folder) for folder in jupyter_path("kernels")]


def _beside() -> Path:
    return _kernels(Path(sys.prefix).parent / HOST)


def _kernels(prefix: Path) -> Path:
    return prefix / "share" / "jupyter" / "kernels"
