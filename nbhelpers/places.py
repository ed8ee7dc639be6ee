"""Where files go: found from this package, which is installed in place, not from the directory.

JupyterLab starts a kernel beside the notebook, other programs start it wherever they are.
"""

import os
from pathlib import Path

from graphcore.errors import Refusal

CHECKOUT = Path(__file__).resolve().parents[1]
"""The checkout: `notebooks/`, `environments/` and this package are in it."""


def handoffs(chosen: str = "") -> Path:
    """Return the folder that holds the handoff folders: `chosen`, else `handoffs/` here."""
    return _given(chosen) or CHECKOUT / "handoffs"


def results(chosen: str, name: str, *, parameter: str) -> Path:
    """Return the folder that a notebook writes into, made if it is not there.

    Args:
        chosen: the folder that the person named; `build/<name>` in the checkout if it is empty.
        name: the folder's name.
        parameter: what the notebook calls `chosen`.

    Raises:
        Refusal: it cannot be written; the sentence says how another one is chosen.
    """
    return writable(_given(chosen) or CHECKOUT / "build" / name, parameter=parameter)


def writable(folder: Path, *, parameter: str) -> Path:
    """Return `folder` after making it; what is written into it later will not be refused.

    Raises:
        Refusal: it cannot be written; the sentence says which parameter names another one.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "you may not write there"
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    if reason:
        raise Refusal(
            f"The folder {folder} cannot be written: {reason}. Name one of yours in the cell of "
            f'parameters, such as {parameter} = "~/{folder.name}" (~ is your home), and run the '
            "notebook again from there."
        )
    return folder


def cache() -> Path:
    """Return where trained weights are kept: `.cache/` here, or yours if that is not writable."""
    here = CHECKOUT / ".cache"
    if os.access(here if here.exists() else CHECKOUT, os.W_OK):
        return here
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nbhelpers"


def _given(chosen: str) -> Path | None:
    return Path(chosen).expanduser().absolute() if chosen else None
