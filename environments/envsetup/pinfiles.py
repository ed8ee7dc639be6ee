"""The pin files `environments/*.txt`: read them, and write the conda files from them.

A pin file has two parts. The part "chosen" has the pins that a person chose, each with the reason
in the comment above it. The part "needed by those" has the dependencies of the chosen ones, written
by `setup.py lock`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .catalogue import PINS, ROOT
from .report import SetupError

CHOSEN = "# == chosen"
NEEDED = "# == needed by those"
CONFLICT = "# declared conflict: "
CONDA = {
    "th": "conda env create -f environment-th.yml",
    "tf": "PIP_NO_DEPS=1 conda env create -f environment-tf.yml",
}

_PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.+))?$")


@dataclass(frozen=True)
class Pin:
    """One exact requirement. `reason` is empty in the part that `setup.py lock` writes."""

    name: str
    version: str
    marker: str = ""
    reason: str = ""
    chosen: bool = False

    @property
    def key(self) -> str:
        """The name in the form that package indexes compare: lower case, with single hyphens."""
        return normal(self.name)

    @property
    def line(self) -> str:
        """The requirement in the form that pip reads."""
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")


def normal(name: str) -> str:
    """Return a package's name in the form in which two spellings of it are equal (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pin_file(name: str) -> Path:
    """Return the pin file of the environment or addition called `name` ("th", "dev-th")."""
    return PINS / f"{name}.txt"


def read(name: str) -> list[Pin]:
    """Read the pins of `environments/<name>.txt`, in the order of the file.

    Raises `SetupError` if the file is missing or a line is not an exact pin.
    """
    return parse(text_of(pin_file(name)), f"environments/{name}.txt")


def text_of(path: Path) -> str:
    """Read a file that belongs to the checkout.

    Raises `SetupError` if the file is missing.
    """
    if not path.is_file():
        raise SetupError(f"Expected the file {path}, but there is none; restore it with git.")
    return path.read_text(encoding="utf-8")


def parse(text: str, source: str) -> list[Pin]:
    """Return the pins in the text of a pin file. `source` is its name in messages.

    Raises `SetupError` with the line that is not `name==version`, optionally with `; marker`.
    """
    pins, comments, chosen = [], [], False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("# =="):
            chosen, comments = line.startswith(CHOSEN), []
        elif line.startswith("#"):
            comments.append(line[1:].strip())
        elif not line.strip():
            comments = []
        else:
            pins.append(_pin(line, f"{source}, line {number}", " ".join(comments), chosen))
            comments = []
    return pins


def declared_conflicts(name: str) -> list[str]:
    """Return the lines that `pip check` may print for this environment, as the pin file states."""
    lines = text_of(pin_file(name)).splitlines()
    return [line[len(CONFLICT) :] for line in lines if line.startswith(CONFLICT)]


def with_needed(text: str, pins: list[Pin]) -> str:
    """Return a pin file's text with its second part replaced by `pins`, sorted by name.

    Raises `SetupError` if the text has no heading for that part.
    """
    head, heading, rest = text.partition(NEEDED)
    if not heading:
        raise SetupError(f"Expected a line `{NEEDED}: …` in the pin file, but there is none.")
    title = rest.splitlines()[0]
    lines = [pin.line for pin in sorted(pins, key=lambda pin: pin.key)]
    return head + heading + title + "\n\n" + "".join(f"{line}\n" for line in lines)


def conda_text(name: str) -> str:
    """Return the text of `environment-<name>.yml`, with the pins inlined under `pip:`.

    They are inlined because conda and micromamba resolve a relative `-r` path against different
    folders.
    """
    head = (
        "# Written by `python environments/setup.py conda-files` from\n"
        f"# environments/{name}.txt: change that file. Use this one with:\n"
        f"#   {CONDA[name]}\n"
        f"name: {name}\n"
        "channels:\n  - conda-forge\n"
        "dependencies:\n  - python=3.11\n  - pip\n  - pip:\n"
    )
    return head + "".join(f"      - {_quoted(pin.line)}\n" for pin in read(name))


def write_conda_files() -> list[Path]:
    """Write `environment-th.yml` and `environment-tf.yml`, and return their paths."""
    paths = {name: ROOT / f"environment-{name}.yml" for name in CONDA}
    for name, path in paths.items():
        path.write_text(conda_text(name), encoding="utf-8")
    return list(paths.values())


def _pin(line: str, where: str, reason: str, chosen: bool) -> Pin:
    found = _PIN.match(line)
    if not found:
        raise SetupError(f"{where}: must be `name==version`, not `{line}`.")
    return Pin(found["name"], found["version"], found["marker"] or "", reason, chosen)


def _quoted(line: str) -> str:
    return f"'{line}'" if ";" in line else line
