"""What is installed here, found without importing it: asking costs nothing."""

import platform
from collections.abc import Iterable
from importlib import metadata, util

_DISTRIBUTIONS = {"onnx_tf": "onnx-tf"}
"""Module → the name of its distribution, where they differ."""


def has(module: str) -> bool:
    """Whether `module` is installed here (it is not imported)."""
    try:
        return util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def version(module: str) -> str:
    """Return the installed version of the package that holds `module`, or "not installed"."""
    try:
        return metadata.version(_DISTRIBUTIONS.get(module, module))
    except metadata.PackageNotFoundError:
        return "not installed"


def versions(modules: Iterable[str]) -> dict[str, str]:
    """Return the version of this Python, and of each package that is installed here."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in modules if has(name)},
    }
