"""Write the second part of a pin file: the dependencies of the chosen pins, as pip resolves them.

The chosen pins are installed into a fresh environment, and the other packages that pip adds are
written to the file. A package that another pin file also has keeps its version, so that both
kernels agree.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from . import interpreters, pinfiles
from .catalogue import ENVIRONMENTS, ENVS
from .commands import clean_environ, pip_install, run
from .pinfiles import Pin
from .report import say

# A pin file -> the files whose versions it keeps. An addition is installed on top of the first.
AGREES_WITH = {
    "tf": ["th"],
    "dev-th": ["th"],
    "dev-tf": ["tf", "th", "dev-th"],
    "architectures": ["th", "dev-th"],
    "clients": ["th", "tf", "dev-th"],
}
LOG = ENVS / "lock.log"
# torch's CUDA build pins these itself, and its CPU build has none of them.
_CUDA = ("nvidia-", "cuda-", "triton")
# A fresh environment has these. Where their versions matter, they are chosen pins.
_BUNDLED = {"pip", "setuptools"}


def lock(name: str) -> None:
    """Rewrite the generated part of `environments/<name>.txt`.

    Raises `SetupError` if the chosen pins cannot be installed together.
    """
    folder = ENVS / f".lock-{name}"
    say(f"{name}: resolving its chosen pins (takes as long as an installation) …")
    try:
        python = _fresh(name, folder)
        _install_chosen(python, name)
        needed = _needed(_frozen(python), name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    path = pinfiles.pin_file(name)
    path.write_text(pinfiles.with_needed(pinfiles.text_of(path), needed), encoding="utf-8")
    say(f"{name}: {len(needed)} packages needed by the chosen ones, now in {path.name}")


def _fresh(name: str, folder: Path) -> Path:
    python = interpreters.find(ENVIRONMENTS[name.replace("dev-", "")].python)
    command = [str(python), "-m", "venv", "--clear", str(folder)]
    run(command, log=LOG, failed=f"{name}: {python} could not make the environment {folder}.")
    return folder / "bin" / "python"


def _install_chosen(python: Path, name: str) -> None:
    """Install the chosen pins.

    A pin with a declared conflict is left out, and its dependencies are chosen pins.
    """
    agreed = [pin.line for other in AGREES_WITH.get(name, []) for pin in pinfiles.read(other)]
    constraints = python.parent.parent / "constraints.txt"
    constraints.write_text("\n".join(agreed) + "\n", encoding="utf-8")
    out = {pinfiles.normal(line.split()[0]) for line in pinfiles.declared_conflicts(name)}
    chosen = [pin for pin in pinfiles.read(name) if pin.chosen and pin.key not in out]
    pip = [pin.line for pin in chosen if pin.key == "pip"]
    rest = [pin.line for pin in chosen if pin.key != "pip"]
    failed = f"{name}: its chosen pins cannot be installed together; what pip said is above."
    for arguments in filter(None, (pip, [*rest, "-c", str(constraints)])):
        run(pip_install(python, *arguments), log=LOG, failed=failed)


def _frozen(python: Path) -> list[Pin]:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "freeze", "--all"]
    answer = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=clean_environ(),
        check=True,
    )
    return pinfiles.parse(answer.stdout.decode(), "the output of pip freeze")


def _needed(installed: list[Pin], name: str) -> list[Pin]:
    below = AGREES_WITH[name][:1] if name.startswith("dev-") else []
    known = {pin.key for pin in pinfiles.read(name) if pin.chosen} | _BUNDLED
    known |= {pin.key for other in below for pin in pinfiles.read(other)}
    return [pin for pin in installed if pin.key not in known and not pin.key.startswith(_CUDA)]
