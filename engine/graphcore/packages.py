"""Installed packages, found without importing them, because an import is slow."""

import platform
import sys
from collections.abc import Iterable
from importlib import metadata, util

from graphcore.errors import WrongKernel


def has(module: str) -> bool:
    """Whether `module` is installed here. It is not imported."""
    try:
        return util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def version(module: str) -> str:
    """Return the installed version of the package that holds `module`, or "not installed"."""
    try:
        return metadata.version(module)
    except metadata.PackageNotFoundError:
        return "not installed"


def versions(modules: Iterable[str]) -> dict[str, str]:
    """Return the version of this Python, and of each of the packages that is installed here."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in modules if has(name)},
    }


def require(*modules: str, kernel: str) -> None:
    """Refuse to go on if a module is missing that the kernel of that name has.

    Raises:
        WrongKernel: a module is not installed here.
    """
    missing = [name for name in modules if not has(name)]
    if missing:
        raise WrongKernel(
            f"This needs {' and '.join(missing)}, which the Python in {sys.prefix} does not have. "
            f"Run it with the kernel {kernel!r}: in JupyterLab choose Kernel > Change Kernel > "
            f"{kernel}."
        )
