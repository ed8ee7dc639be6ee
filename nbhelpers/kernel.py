"""Which kernel is this, and does it have what the notebook needs?

Packages are found without importing them, which is fast and loads no framework.
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
"""Kernel name to the modules it must have. The first module is the kernel's purpose."""

ENVIRONMENTS = {"train": "th", "convert": "tf"}
"""Kernel name to the name of its conda or venv environment."""

VARIABLES = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Environment variables of a kernel. OpenMP threads that spin while they wait take processor time
from the thread they wait for when other programs run. Training could then take forever.
"""

_TOUCHING = ("onnxsim",)


@dataclass(frozen=True)
class Environment:
    """A kernel that was requested and found: its name, Python version and package versions."""

    kernel: str
    python: str
    versions: dict[str, str]

    def __repr__(self) -> str:
        """Return one line for the notebooks."""
        packages = " · ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"kernel {self.kernel} · Python {self.python} · {packages}"


def current() -> str | None:
    """Return "train" or "convert" if this Python can be that kernel, or None."""
    return next((name for name, modules in KERNELS.items() if has(modules[0])), None)


def versions() -> dict[str, str]:
    """Return the versions of the packages of both kernels that are installed here."""
    names = dict.fromkeys([name for modules in KERNELS.values() for name in modules] + [*_TOUCHING])
    return {"nbhelpers": __version__, **packages.versions(names)}


def require(kernel: str) -> Environment:
    """Return this environment if it is the one for `kernel` ("train" or "convert").

    Raises:
        WrongKernel: a package is missing. The message says which kernel to choose.
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
                f"{', '.join(missing)}. Run `make setup` to complete it."
            )
        spec = kernelspecs.find(kernel)
        if not here and spec and spec.python == Path(sys.executable):
            raise WrongKernel(
                f"This kernel is called {kernel!r}, but it belongs to another project: "
                f"{spec.folder} starts {sys.executable}, which lacks {', '.join(missing)}. In a "
                f"terminal at the checkout run `{spec.cure}`. Then restart JupyterLab with `make "
                "lab`."
            )
        seen = f"this is the kernel {here!r}" if here else f"this is the Python in {sys.prefix}"
        raise WrongKernel(
            f"This needs the kernel {kernel!r} (environment {ENVIRONMENTS[kernel]}), but {seen}, "
            f"which lacks {', '.join(missing)}. In JupyterLab choose Kernel > Change Kernel > "
            f"{kernel}. If it is not in the list, run `make setup`."
        )
    show_in_cells()
    return Environment(
        kernel, platform.python_version(), {name: version(name) for name in KERNELS[kernel]}
    )


def require_either() -> Environment:
    """Return this environment if it is one of the two, for a notebook that runs on both.

    Raises:
        WrongKernel: it is neither, or a package is missing.
    """
    here = current()
    if here is None:
        raise WrongKernel(
            "This needs one of the kernels 'train' and 'convert', but this is the Python in "
            f"{sys.prefix}, which has neither torch nor tensorflow. In JupyterLab choose "
            "Kernel > Change Kernel > train. If it is not in the list, run `make setup`."
        )
    return require(here)
