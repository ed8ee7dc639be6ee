"""Which kernel is this, and does it have what the notebook needs?

Packages are found without importing them, so that asking costs nothing and loads no framework.
"""

import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from graphcore import packages
from graphcore.errors import WrongKernel
from graphcore.packages import has, version
from nbhelpers import __version__, kernelspecs
from nbhelpers.progress import show_in_cells

KERNELS = {
    "train": ("torch", "onnx", "onnxruntime", "numpy"),
    "convert": ("tensorflow", "onnx_tf", "onnx", "onnxruntime", "numpy"),
}
"""Kernel name to the modules that it must have; the first one gives it its purpose."""

ENVIRONMENTS = {"train": "th", "convert": "tf"}
"""Kernel name to the name of its conda or venv environment."""

VARIABLES = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Environment variables of a kernel. OpenMP threads that spin while they wait take the processor
from the thread that they wait for, if other programs run: a training then never ends.
"""

_TOUCHING = ("onnxsim",)


@dataclass(frozen=True)
class Environment:
    """A kernel that was asked for and found: its name, Python version and package versions."""

    kernel: str
    python: str
    versions: dict[str, str]

    def __repr__(self) -> str:
        """Return one line, as the notebooks show it."""
        packages = " · ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"kernel {self.kernel} · Python {self.python} · {packages}"


def current() -> str | None:
    """Return "train" or "convert", whichever this interpreter can be, or None."""
    return next((name for name, modules in KERNELS.items() if has(modules[0])), None)


def versions() -> dict[str, str]:
    """Return the versions of every package of either kernel that is installed here."""
    names = dict.fromkeys([name for modules in KERNELS.values() for name in modules] + [*_TOUCHING])
    return {"nbhelpers": __version__, **packages.versions(names)}


def require(kernel: str) -> Environment:
    """Return this environment if it is the one for `kernel` ("train" or "convert").

    Raises:
        WrongKernel: a package is missing; the sentence says which kernel to choose.
    """
    if kernel not in KERNELS:
        raise WrongKernel(
            f"There are two kernels, 'train' and 'convert', but {kernel!r} was asked for."
        )
    missing = [name for name in KERNELS[kernel] if not has(name)]
    if missing:
        here = current()
        if here == kernel:
            raise WrongKernel(
                f"The kernel {kernel!r} (environment {ENVIRONMENTS[kernel]}) lacks "
                f"{', '.join(missing)}; run `make setup` to complete it."
            )
        spec = kernelspecs.find(kernel)
        if not here and spec and spec.python == Path(sys.executable):
            raise WrongKernel(
                f"This kernel is called {kernel!r}, but it is of another project: {spec.folder} "
                f"starts {sys.executable}, which lacks {', '.join(missing)}. In a terminal at the "
                f"checkout run `{spec.cure}`, and start JupyterLab anew with `make lab`."
            )
        seen = f"this is the kernel {here!r}" if here else f"this is the Python in {sys.prefix}"
        raise WrongKernel(
            f"This needs the kernel {kernel!r} (environment {ENVIRONMENTS[kernel]}), but {seen}, "
            f"which lacks {', '.join(missing)}. In JupyterLab choose Kernel > Change Kernel > "
            f"{kernel}; if it is not in the list, run `make setup`."
        )
    show_in_cells()
    return Environment(
        kernel, platform.python_version(), {name: version(name) for name in KERNELS[kernel]}
    )


def require_either() -> Environment:
    """Return this environment if it is one of the two, for a notebook that runs on both.

    Raises:
        WrongKernel: it is neither, or it lacks a package.
    """
    here = current()
    if here is None:
        raise WrongKernel(
            "This needs one of the kernels 'train' and 'convert', but this is the Python in "
            f"{sys.prefix}, which has neither torch nor tensorflow. In JupyterLab choose "
            "Kernel > Change Kernel > train; if it is not in the list, run `make setup`."
        )
    return require(here)
