"""Record which environments are ready, by a stamp of everything that a step depends on.

The stamp is written last, so an interrupted set-up leaves no stamp and is done again. A stamp is no
longer valid if the pins change, the checkout moves, or its Python is removed. The checkout's path
matters because scripts of an environment contain it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
from pathlib import Path

from . import pinfiles
from .catalogue import ROOT, Environment
from .report import SetupError

FILE = "ready.json"
PACKAGE = "nbhelpers"
OWNER = "checkout"
# Raise it if an environment made by earlier steps must not be kept.
RECIPE = "1"


def is_ready(environment: Environment, step: str) -> bool:
    """Whether `step` is done and its stamp is valid.

    A step is the environment's own name, its dev addition, or `PACKAGE` (importable here).
    """
    stamp = _stamps(environment).get(step)
    return stamp is not None and stamp == _digest(environment, step)


def stamp(environment: Environment, step: str) -> None:
    """Record that `step` is done.

    Raises `SetupError` if the environment's interpreter does not run.
    """
    digest = _digest(environment, step)
    if digest is None:
        raise SetupError(
            f"{environment.name}: expected {environment.executable} to run after the set-up, "
            "but it does not; run the same command again."
        )
    draft = environment.folder / f"{FILE}.new"
    stamps = {**_stamps(environment), step: digest, OWNER: str(ROOT)}
    draft.write_text(json.dumps(stamps, indent=1) + "\n", encoding="utf-8")
    os.replace(draft, environment.folder / FILE)


def owner(environment: Environment) -> Path | None:
    """Return the checkout that made the environment, if that is known."""
    made_by = _stamps(environment).get(OWNER)
    return Path(made_by) if made_by else None


def forget(environment: Environment) -> None:
    """Remove every stamp before the environment itself, so that a half-removed one is not ready."""
    with contextlib.suppress(FileNotFoundError):
        (environment.folder / FILE).unlink()


def _digest(environment: Environment, step: str) -> str | None:
    """Return a digest of all that a finished step depends on.

    Return None if the interpreter does not run.
    """
    python = _python_version(environment)
    if python is None:
        return None
    parts = [RECIPE, str(ROOT), python, _content(step)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _content(step: str) -> str:
    """Return what a step installs: its pins without reasons, so a new reason changes nothing."""
    if step == PACKAGE:
        projects = (ROOT / "pyproject.toml", ROOT / "engine" / "pyproject.toml")
        return "\n".join(map(pinfiles.text_of, projects))
    return "\n".join(sorted(pin.line for pin in pinfiles.read(step)))


def _python_version(environment: Environment) -> str | None:
    """Return the version that the environment's interpreter reports, or None if it does not run."""
    command = [str(environment.executable), "-c", "import sys; print(sys.version)"]
    try:
        answer = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        )
    except OSError:
        return None
    return answer.stdout.decode(errors="replace").strip() if answer.returncode == 0 else None


def _stamps(environment: Environment) -> dict[str, str]:
    try:
        stamps = json.loads((environment.folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}
