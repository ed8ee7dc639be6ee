"""Register the kernels `train` and `convert` with the environment that runs JupyterLab.

A kernelspec holds the absolute path of an interpreter, so it is written on each machine and never
committed. Notebooks refer to it by its name, which is the same on every machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from .catalogue import ENVIRONMENTS, ENVS
from .commands import editable, run
from .interpreters import which_conda
from .report import SetupError, say
from .stamps import is_ready

DISPLAY = {"train": "train (torch)", "convert": "convert (TensorFlow)"}
# Idle OpenMP threads sleep, so that other programs can use the processor. This must be set before
# PyTorch is loaded. `nbhelpers.kernel` sets it for kernels that `make handoff` starts.
VARIABLES = {"OMP_WAIT_POLICY": "PASSIVE"}
LOG = ENVS / "kernels.log"


def register_venvs() -> None:
    """Register the kernels of `.envs/th` and `.envs/tf` in `.envs/th`.

    Raises `SetupError` if one of the two is not ready.
    """
    th, tf = ENVIRONMENTS["th"], ENVIRONMENTS["tf"]
    for environment in (th, tf):
        if not is_ready(environment, environment.name):
            raise SetupError(
                f"Expected the environment {environment.folder} to be ready, but it is not; run "
                "`make setup` (or, with conda, run this command inside the environment th)."
            )
    _register("train", th.executable, th.folder)
    _register("convert", tf.executable, th.folder)


def register_conda(tf_python: Path | None) -> None:
    """Register the kernels of the conda environment that runs this (`th`) and of `tf`.

    The checkout's `nbhelpers` is made importable in both. `tf_python` is the interpreter of `tf`.
    Without it, `tf` is searched for beside `th` and in conda's list. Raises `SetupError` if `tf` is
    not found or lacks ipykernel.
    """
    prefix = Path(sys.prefix)
    pythons = {"train": Path(sys.executable), "convert": tf_python or _conda_tf(prefix)}
    for kernel, python in pythons.items():
        failed = f"{kernel}: nbhelpers could not be made importable with {python}; see above."
        run(editable(python), log=LOG, failed=failed)
        _register(kernel, python, prefix)


def in_conda_environment() -> bool:
    """Whether a conda environment runs this code, other than conda's own (base)."""
    prefix = Path(sys.prefix)
    return (prefix / "conda-meta").is_dir() and not (prefix / "condabin").is_dir()


def _register(kernel: str, python: Path, prefix: Path) -> None:
    if _registered(kernel, prefix) != (str(python), DISPLAY[kernel], VARIABLES):
        command = [str(python), "-m", "ipykernel", "install", "--prefix", str(prefix)]
        command += ["--name", kernel, "--display-name", DISPLAY[kernel]]
        for name, value in VARIABLES.items():
            command += ["--env", name, value]
        failed = (
            f"{kernel}: the kernel could not be registered with {python}, what it said is above; "
            "that interpreter must have ipykernel, as the pin files give it."
        )
        run(command, log=LOG, failed=failed)
    _check_first(kernel, python)
    say(f"{kernel}: ready (a kernel of {prefix})")


def _check_first(kernel: str, python: Path) -> None:
    """Check that no kernelspec of the same name is in a folder that Jupyter searches first.

    Raises `SetupError` if another project has one there, because the notebooks would use its
    Python.
    """
    for folder in filter(None, os.environ.get("JUPYTER_PATH", "").split(os.pathsep)):
        spec = Path(folder) / "kernels" / kernel
        other = _read(spec / "kernel.json")
        if other is not None and other[0] != str(python):
            raise SetupError(
                f"Expected Jupyter to start {python} as the kernel {kernel}, but JUPYTER_PATH "
                f"names {folder}, where another project has a kernel of this name ({other[0]}); "
                f"unset JUPYTER_PATH, or rename the folder {spec}, and run the same command again."
            )


def _registered(kernel: str, prefix: Path) -> tuple[str, str, dict[str, str]] | None:
    """Return interpreter, display name and variables of a kernelspec, or None if unreadable."""
    return _read(prefix / "share" / "jupyter" / "kernels" / kernel / "kernel.json")


def _read(path: Path) -> tuple[str, str, dict[str, str]] | None:
    try:
        spec = json.loads(path.read_text(encoding="utf-8"))
        return spec["argv"][0], spec["display_name"], spec.get("env", {})
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _conda_tf(prefix: Path) -> Path:
    for folder in [prefix.parent / "tf", *_conda_list()]:
        python = folder / ("python.exe" if os.name == "nt" else "bin/python")
        if folder.name == "tf" and python.exists():
            return python
    raise SetupError(
        f"Expected a conda environment called tf beside {prefix} or in `conda env list`, but "
        "there is none; make it with `PIP_NO_DEPS=1 conda env create -f environment-tf.yml`, or "
        "name its Python with --tf-python."
    )


def _conda_list() -> list[Path]:
    conda = os.environ.get("CONDA_EXE") or which_conda()
    if not conda:
        return []
    command = [conda, "env", "list", "--json"]
    try:
        answer = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        )
        return [Path(folder) for folder in json.loads(answer.stdout)["envs"]]
    except (OSError, ValueError, LookupError, TypeError):
        return []
