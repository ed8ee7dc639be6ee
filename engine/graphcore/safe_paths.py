"""Paths in a handoff folder: names that stay inside it on every machine, and no links.

A folder may come from somebody else, and so may every name in its record.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from graphcore.errors import HandoffError

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories of characters that are invisible, or change how other characters look."""

_DATA = {
    *(".onnx", ".pb", ".pbtxt", ".ckpt", ".meta", ".index", ".tflite", ".safetensors", ".h5"),
    *(".npz", ".npy", ".data", ".bin", ".weights", ".json", ".txt", ".csv", ".tsv", ".vocab"),
    *(".jpg", ".jpeg", ".png", ".wav", ".html", ".css", ".md", ".svg", ".model", ".yaml"),
}
"""The suffixes of files that a handoff may contain."""

_ASSETS = {"assets", "assets.extra"}
"""The folders of a SavedModel whose files may have any name. The graph names those it reads."""


def check_name(file: str) -> str:
    """Return `file` if it names a path inside a handoff folder.

    Raises:
        HandoffError: it is empty, absolute, hidden, leads out of the folder, is too long for a file
            system, or contains invisible characters (NUL, newlines, direction marks).
    """
    parts = PurePosixPath(file).parts
    plain = bool(parts) and "/".join(parts) == file and "\\" not in file and ":" not in parts[0]
    shows = all(unicodedata.category(each) not in _UNSEEN for each in file)
    if not (plain and shows) or any(part[0] in "./" or len(part) > 200 for part in parts):
        raise HandoffError(
            "A file of a handoff is named by a relative path such as graph/tf2/frozen.pb, "
            "without '..', hidden "
            f"parts or invisible characters, but this is {file[:200]!a}."
        )
    return file


def check_distinct(files: Iterable[str]) -> None:
    """Refuse names that some file systems treat as the same.

    Raises:
        HandoffError: two names differ only in case, or in how their accents are written.
    """
    seen: dict[str, str] = {}
    for file in files:
        other = seen.setdefault(unicodedata.normalize("NFC", file).casefold(), file)
        if other != file:
            raise HandoffError(
                f"{file!r} and {other!r} are one file on some machines. Use another name for one "
                "of them."
            )


def is_data(file: str) -> bool:
    """Whether a file of a handoff holds data, which Python and a shell would never run."""
    path = PurePosixPath(file)
    served = path.name.startswith("variables.data-") or _ASSETS & set(path.parts[:-1])
    return path.name == "SHA256SUMS" or path.suffix.lower() in _DATA or bool(served)


def check_links(folder: Path, file: str = "") -> None:
    """Refuse a handoff folder that is a link, or a path in it that goes through a link.

    Raises:
        HandoffError: the folder is a link, or a link is on the way to `file`, `file` included.
    """
    link = folder if folder.is_symlink() else _link(folder, file)
    if link is not None:
        raise HandoffError(
            f"{link} is a link, and a handoff never follows links, because their targets are "
            "outside the folder. "
            "Give the folder itself, or make a copy without links (cp -rL)."
        )


def is_behind_link(folder: Path, file: str) -> bool:
    """Whether a part of the path from `folder` to `file` is a link."""
    return _link(folder, file) is not None


def _link(folder: Path, file: str) -> Path | None:
    way = (PurePosixPath(file), *PurePosixPath(file).parents)[:-1]
    return next((folder / part for part in reversed(way) if (folder / part).is_symlink()), None)
