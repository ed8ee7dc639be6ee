"""Where files are written: relative to this package's checkout, not to the current directory.

JupyterLab starts a kernel beside its notebook, but other programs start it anywhere.
"""

import os
from pathlib import Path

from graphcore.errors import Refusal

CHECKOUT = Path(__file__).resolve().parents[1]
"""The checkout, which contains `notebooks/`, `environments/` and this package."""


def handoffs(chosen: str = "") -> Path:
    """Return the folder that contains the handoff folders: `chosen`, or `handoffs/` in the
    checkout."""
    return _given(chosen) or CHECKOUT / "handoffs"


def results(chosen: str, name: str, *, parameter: str) -> Path:
    """Return the folder that a notebook writes into. It is created if it does not exist.

    Args:
        chosen: the folder that the user named. If it is empty, `build/<name>` in the checkout.
        name: the folder's name.
        parameter: the notebook's name for `chosen`.

    Raises:
        Refusal: it cannot be written. The message says how to choose another one.
    """
    return writable(_given(chosen) or CHECKOUT / "build" / name, parameter=parameter)


def writable(folder: Path, *, parameter: str) -> Path:
    """Create `folder` and return it, after checking that files can be written into it.

    Raises:
        Refusal: it cannot be written. The message names the parameter to change.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "you may not write there"
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    if reason:
        raise Refusal(
            f"The folder {folder} cannot be written: {reason}. Choose one of yours in the "
            f'parameters cell, for example {parameter} = "~/{folder.name}" (~ is your home), '
            "and run the notebook again from there."
        )
    return folder


def cache() -> Path:
    """Return where trained weights are kept: `.cache/` in the checkout, or in your home folder."""
    here = CHECKOUT / ".cache"
    if os.access(here if here.exists() else CHECKOUT, os.W_OK):
        return here
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nbhelpers"


def _given(chosen: str) -> Path | None:
    return Path(chosen).expanduser().absolute() if chosen else None
