"""Run the commands that install, and show their whole output only if one fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .catalogue import ROOT
from .report import SetupError

# Settings of the caller that would install other packages, or elsewhere, than the pins state.
_NOT_INHERITED = (
    "PYTHONPATH",
    "PYTHONHOME",
    "__PYVENV_LAUNCHER__",
    "PIP_NO_DEPS",
    "PIP_USER",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_CONSTRAINT",
    "PIP_REQUIREMENT",
)
# pip prints these even if nothing is wrong, the first one hundreds of times. They hide the rest.
_HARMLESS = (
    "WARNING: Location '",
    "WARNING: You are using pip version",
    "You should consider upgrading via",
    "[notice] ",
)


def run(command: list[str], *, log: Path, failed: str) -> None:
    """Run a command, append its output to `log`, and show that output if it fails.

    Raises `SetupError` with the sentence `failed` if the command fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = log.stat().st_size if log.exists() else 0
    with log.open("ab") as stream:
        # close_fds=False: the command keeps the lock (see `turns`) if this process is killed.
        done = subprocess.run(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=clean_environ(),
            close_fds=False,
            check=False,
        )
    if done.returncode:
        print(without_noise(_since(start, log)), file=sys.stderr, flush=True)
        raise SetupError(failed)


def pip_install(python: Path, *arguments: str) -> list[str]:
    """Return the command that installs with the pip of `python`, without output or questions."""
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
    return [*pip, "install", *arguments]


def editable(python: Path) -> list[str]:
    """Return the command that makes `nbhelpers` and the engine importable, without network."""
    options = ("--no-deps", "--no-build-isolation")
    return pip_install(
        python, *options, "--editable", str(ROOT), "--editable", str(ROOT / "engine")
    )


def clean_environ() -> dict[str, str]:
    """Return this process's variables, except those that would change the installed packages."""
    return {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}


def without_noise(text: str) -> str:
    """Return pip's output without the lines that do not help to explain a failure."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(_HARMLESS))


def _since(start: int, log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(start)
        return stream.read().decode(errors="replace")
