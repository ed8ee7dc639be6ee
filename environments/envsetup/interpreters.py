"""Find the Python release for an environment. Nothing is installed system-wide.

The places are searched in this order: an environment variable (`PYTHON36` for 3.6), the Python that
runs this code, `python3.6` on PATH, and pyenv's folder of versions. The last one is conda, mamba or
micromamba, which can make a Python under `.envs`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator

from .catalogue import ENVS
from .report import SetupError, say

CONDAS = ("conda", "mamba", "micromamba")
# Without ensurepip (Debian before python3-venv is installed) a Python makes no environments.
_PROBE = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"


def find(version: str) -> Path:
    """Return an interpreter of `version` (such as "3.6") that can make virtual environments.

    Raises `SetupError` if none is found, with every place that was searched. It is also raised if
    the environment variable names something other than a Python of that version.
    """
    chosen = os.environ.get(variable(version))
    if chosen:
        return _chosen(chosen, version)
    for candidate in _candidates(version):
        if release_of(candidate) == version:
            return candidate
    return _from_conda(version)


def variable(version: str) -> str:
    """Return the environment variable that chooses an interpreter: "3.6" gives `PYTHON36`."""
    return "PYTHON" + version.replace(".", "")


def release_of(python: Path) -> str:
    """Ask an interpreter for its release, such as "3.6".

    The result is "" if it cannot make environments.

    The interpreter must be run, because a pyenv shim for a release that is not selected exists on
    PATH, but only prints an error.
    """
    command = [str(python), "-c", _PROBE]
    try:
        answer = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.decode(errors="replace").strip()


def which_conda() -> str | None:
    """Return the conda, mamba or micromamba on PATH, or None if none is installed."""
    return next(filter(None, map(shutil.which, CONDAS)), None)


def _chosen(python: str, version: str) -> Path:
    path = Path(shutil.which(python) or python)
    if release_of(path) != version:
        raise SetupError(
            f"{variable(version)} must name a Python {version} with the venv module, "
            f"not {python!r}; correct it, or unset it to have one looked for."
        )
    return path


def _candidates(version: str) -> Iterator[Path]:
    yield Path(sys.executable)
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    yield from _pyenv(version)


def _pyenv(version: str) -> list[Path]:
    folders = [folder for folder in _pyenv_versions().glob(f"{version}.*") if folder.is_dir()]
    return [folder / "bin" / "python" for folder in sorted(folders, key=_patch, reverse=True)]


def _pyenv_versions() -> Path:
    root = os.environ.get("PYENV_ROOT")
    return (Path(root) if root else Path.home() / ".pyenv") / "versions"


def _patch(folder: Path) -> tuple[int, str]:
    patch = folder.name.split(".")[-1]
    return (int(patch) if patch.isdigit() else -1, folder.name)


def _from_conda(version: str) -> Path:
    prefix = ENVS / f".python{version}"
    python = prefix / "bin" / "python"
    if release_of(python) == version:
        return python
    conda = which_conda()
    if conda is None:
        raise SetupError(_not_found(version))
    say(f"Python {version}: making one with {Path(conda).name} …")
    shutil.rmtree(prefix, ignore_errors=True)
    command = [conda, "create", "--yes", "--quiet", "-p", str(prefix), "-c", "conda-forge"]
    # close_fds=False: the command keeps the lock (see `turns`) if this process is killed.
    subprocess.run(
        [*command, f"python={version}"],
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        close_fds=False,
        check=False,
    )
    if release_of(python) != version:
        raise SetupError(f"{_not_found(version)} ({Path(conda).name} was tried too.)")
    return python


def _not_found(version: str) -> str:
    return (
        f"No Python {version} that can make virtual environments was found (looked at: "
        f"${variable(version)}, the running Python, python{version} on PATH, {_pyenv_versions()}, "
        f"conda); install one, for example with `pyenv install {version}`, "
        f"or set {variable(version)} to the path of one."
    )
