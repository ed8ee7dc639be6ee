"""Places in a handoff folder: names that stay inside it on every machine, and no links.

A folder may come from somebody else, and so may every name in its record.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from graphcore.errors import HandoffError

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""The categories of Unicode whose characters do not show, or change how others do."""

_DATA = {
    *(".onnx", ".pb", ".pbtxt", ".ckpt", ".meta", ".index", ".tflite", ".safetensors", ".h5"),
    *(".npz", ".npy", ".data", ".bin", ".weights", ".json", ".txt", ".csv", ".tsv", ".vocab"),
    *(".jpg", ".jpeg", ".png", ".wav", ".html", ".css", ".md", ".svg", ".model", ".yaml"),
}
"""The suffixes of files that a handoff may pass on."""

_ASSETS = {"assets", "assets.extra"}
"""The folders of a SavedModel whose files may have any name: the graph says what it reads there."""


def check_name(file: str) -> str:
    """Return `file` if it names a place inside a handoff folder.

    Raises:
        HandoffError: it is empty, absolute, leads out of the folder, is hidden, too long for a
            file system, or holds characters that do not show (NUL, newlines, direction marks).
    """
    parts = PurePosixPath(file).parts
    plain = bool(parts) and "/".join(parts) == file and "\\" not in file and ":" not in parts[0]
    shows = all(unicodedata.category(each) not in _UNSEEN for each in file)
    if not (plain and shows) or any(part[0] in "./" or len(part) > 200 for part in parts):
        raise HandoffError(
            f"A file of a handoff is named by a relative path such as graph/tf2/frozen.pb, without "
            f"'..', hidden parts and characters that do not show, but this is {file[:200]!a}."
        )
    return file


def check_distinct(files: Iterable[str]) -> None:
    """Refuse names that some file systems take for one another.

    Raises:
        HandoffError: two differ only in case, or in how their accents are written.
    """
    seen: dict[str, str] = {}
    for file in files:
        other = seen.setdefault(unicodedata.normalize("NFC", file).casefold(), file)
        if other != file:
            raise HandoffError(
                f"{file!r} and {other!r} are one file on some machines; use another name for one."
            )


def is_data(file: str) -> bool:
    """Whether a file of a handoff holds data: nothing that Python or a shell would run."""
    path = PurePosixPath(file)
    served = path.name.startswith("variables.data-") or _ASSETS & set(path.parts[:-1])
    return path.name == "SHA256SUMS" or path.suffix.lower() in _DATA or bool(served)


def check_links(folder: Path, file: str = "") -> None:
    """Refuse a handoff folder, or a place in it, that a link leads elsewhere.

    Raises:
        HandoffError: the folder is a link, or one lies on the way to `file`, `file` included.
    """
    link = folder if folder.is_symlink() else _link(folder, file)
    if link is not None:
        raise HandoffError(
            f"{link} is a link, and a handoff follows none: what is behind it is no part of the "
            "folder. Give the folder itself, or make a copy without links (cp -rL)."
        )


def is_behind_link(folder: Path, file: str) -> bool:
    """Whether a link lies below `folder` on the way to `file`, or in its place."""
    return _link(folder, file) is not None


def _link(folder: Path, file: str) -> Path | None:
    way = (PurePosixPath(file), *PurePosixPath(file).parents)[:-1]
    return next((folder / part for part in reversed(way) if (folder / part).is_symlink()), None)
