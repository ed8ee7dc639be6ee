"""SHA256SUMS: the checksums with which `verify.py` or `sha256sum -c` checks a handoff folder.

`handoff.json` and the executed notebooks are left out, because they are the sender's own record and
still grow.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from graphcore.atomic_files import describe, write_text
from graphcore.errors import HandoffError
from graphcore.reading import reading
from graphcore.safe_paths import check_name
from graphcore.writing import writing
from nbhelpers.handoff import Handoff

SUMS = "SHA256SUMS"

_LINE = re.compile(r"[0-9a-f]{64}  (.+)")


def sums(handoff: Handoff, new: Mapping[str, Path]) -> str:
    """Return the text of SHA256SUMS for a handoff, sorted by file name.

    Args:
        handoff: the handoff. The files of its earlier stages are checked against the record.
        new: file name → path, for the files that the last stage is about to add.

    Raises:
        HandoffError: a stage is not done, or a file was changed.
    """
    digests = {name: describe(path)["sha256"] for name, path in new.items()}
    for stage in handoff.record()["stages"]:
        if stage != "handoff":
            entry = handoff.require(stage)
            digests |= {name: seen["sha256"] for name, seen in entry["files"].items()}
    return _text(digests)


def sealed_files(handoff: Handoff) -> tuple[str, ...]:
    """Return the files that SHA256SUMS lists, and SHA256SUMS itself.

    Raises:
        HandoffError: it is missing, or a line of it is not a checksum and a name of a file in the
            folder.
    """
    path = handoff.read(SUMS)
    wrong, again = "does not list the files of a handoff", "Run the notebook 06_handoff again"
    with reading(path, wrong, error=HandoffError, advice=again):
        *lines, last = path.read_text(encoding="utf-8").split("\n")
        found = [line[1] for line in map(_LINE.fullmatch, lines) if line]
        if last or not lines or len(found) < len(lines):
            raise ValueError("not every line is a sha256, two blanks and a name")
    return (*map(check_name, found), SUMS)


def write_sums(folder: str | Path) -> Path:
    """Write SHA256SUMS for every file in a folder, and return its path.

    Raises:
        HandoffError: it cannot be written.
    """
    folder = Path(folder)
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    digests = {path.relative_to(folder).as_posix(): describe(path)["sha256"] for path in files}
    target = folder / SUMS
    with writing(target, error=HandoffError):
        write_text(target, _text(digests))
    return target


def _text(digests: Mapping[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
