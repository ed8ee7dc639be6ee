"""Run the commands that install: quietly, with their whole output shown when one fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .catalogue import ROOT
from .report import SetupError

# Settings of the caller that would install something else, or elsewhere, than the pins say.
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
# pip says these whether or not anything is wrong, the first by the hundred: they hide the rest.
_HARMLESS = (
    "WARNING: Location '",
    "WARNING: You are using pip version",
    "You should consider upgrading via",
    "[notice] ",
)


def run(command: list[str], *, log: Path, failed: str) -> None:
    """Run a command, its output appended to `log`; show that output when it fails.

    Raises `SetupError` with the sentence `failed`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = log.stat().st_size if log.exists() else 0
    with log.open("ab") as stream:
        # close_fds=False: a child keeps the turn (see `turns`) if this process is killed.
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
    """Return the command that installs with the pip of `python`, quiet and asking nothing."""
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
    return [*pip, "install", *arguments]


def editable(python: Path) -> list[str]:
    """Return the command that makes this checkout's `nbhelpers` and engine importable, without
    network.
    """
    options = ("--no-deps", "--no-build-isolation")
    return pip_install(
        python, *options, "--editable", str(ROOT), "--editable", str(ROOT / "engine")
    )


def clean_environ() -> dict[str, str]:
    """Return this process's variables without those that would change what gets installed."""
    return {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}


def without_noise(text: str) -> str:
    """Return pip's output without the lines that say nothing about a failure."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(_HARMLESS))


def _since(start: int, log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(start)
        return stream.read().decode(errors="replace")
