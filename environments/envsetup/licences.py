"""`environments/LICENCES.md`: the licence of every package that the workbook installs.

They are read from the packages' own metadata, in the environments of this checkout.
"""

from __future__ import annotations

import re
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from . import pinfiles
from .catalogue import ENVIRONMENTS, PINS, Environment
from .report import SetupError

FILE = PINS / "LICENCES.md"
NAMES = ("th", "tf", "clients", "tf1.4", "tf1.13", "tf1.15")
"""The environments of a user. Those of tests and benchmarks are not distributed."""

_HEAD = """\
# Licences

`python environments/setup.py licences` writes this page from the metadata of the installed
packages. It lists neither PyTorch's CUDA packages nor those that only macOS or Windows needs.

| Package | Version | Licence | Environments |
| --- | --- | --- | --- |
"""
_LONGEST = 60
_SAYS_NOTHING = {"", "unknown", "dual license"}


def write() -> Path:
    """Write the page and return its path.

    Raises `SetupError` if an environment or a package of its pins is missing.
    """
    rows: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for name in NAMES:
        said = _installed(ENVIRONMENTS[name])
        for pin in pinfiles.read(name):
            if pin.marker:
                continue
            if pin.key not in said:
                raise SetupError(
                    f"Expected {pin.name} in the environment {name}, but it is not there; run "
                    "`make setup legacy clients` and the same command again."
                )
            rows.setdefault((pin.key, pin.version), (licence(said[pin.key]), []))[1].append(name)
    lines = [
        f"| {key} | {version} | {kind} | {', '.join(names)} |\n"
        for (key, version), (kind, names) in sorted(rows.items())
    ]
    FILE.write_text(_HEAD + "".join(lines), encoding="utf-8")
    return FILE


def licence(said: Message) -> str:
    """Return the licence that a package's metadata names, in one short line."""
    if said["License-Expression"]:
        return said["License-Expression"]
    short = " ".join((said["License"] or "").partition("Copyright")[0].split())
    if len(short) <= _LONGEST and short.lower() not in _SAYS_NOTHING:
        return short.replace("|", "/")
    classifiers = said.get_all("Classifier") or []
    kinds = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    named = [kind for kind in kinds if kind != "OSI Approved"]
    return ", ".join(named) or (short[:_LONGEST] + " …" if short else "not said")


def _installed(environment: Environment) -> dict[str, Message]:
    places = [*environment.folder.glob("lib/python*/site-packages"), environment.folder / "Lib"]
    found = {}
    for pattern in ("*.dist-info/METADATA", "*.egg-info/PKG-INFO"):
        for place in places:
            for path in place.rglob(pattern) if place.name == "Lib" else place.glob(pattern):
                said = HeaderParser().parsestr(path.read_text(encoding="utf-8", errors="replace"))
                found[pinfiles.normal(re.sub(r"\s", "", said["Name"] or ""))] = said
    return found
