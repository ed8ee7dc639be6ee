"""Files of a handoff: safe names, sha256, and writing that is never seen half-done.

Nothing here knows what a stage is; `record` and `handoff` are built on it.
"""

import hashlib
import itertools
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from nbhelpers.errors import HandoffError

_DIGESTS: dict[tuple[int, ...], str] = {}


def check_name(file: str) -> str:
    """Return `file` if it names a place inside a handoff folder.

    Raises:
        HandoffError: it is empty, absolute, leads out of the folder, or hidden.
    """
    parts = PurePosixPath(file).parts
    plain = bool(parts) and "/".join(parts) == file and "\\" not in file and ":" not in parts[0]
    if not plain or file.startswith("/") or any(part.startswith(".") for part in parts):
        raise HandoffError(
            f"A file of a handoff is named by a relative path such as graph/tf2/frozen.pb, without "
            f"'..' and hidden parts, but this is {file!r}."
        )
    return file


def describe(path: Path) -> dict:
    """Return the sha256 and size in bytes of a file."""
    stat = path.stat()
    key = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    digest = _DIGESTS.get(key)
    if digest is None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        # A file written a moment ago can change again within one tick of the clock that stamps it.
        if time.time() - max(stat.st_mtime, stat.st_ctime) > 2:
            _DIGESTS[key] = digest
    return {"sha256": digest, "bytes": stat.st_size}


def problem(path: Path, recorded: dict) -> str:
    """Return what is wrong with a recorded file, in words that follow its name, or ""."""
    try:
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            return "is gone"
        if size != recorded["bytes"]:
            return f"has {size} bytes and had {recorded['bytes']} when it was recorded"
        if describe(path)["sha256"] != recorded["sha256"]:
            return "was changed since it was recorded (its sha256 differs)"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def edited_name(path: Path) -> Path:
    """Return where a file that was changed by hand is kept: a name beside it that is free."""
    names = (path.with_name(f"{path.name}.edited{number or ''}") for number in itertools.count())
    return next(name for name in names if not name.exists())


def keep_edited(path: Path, wrong: str) -> None:
    """Move a file aside that was changed by hand, and warn: it may be somebody's work.

    Args:
        path: the file; nothing is done if it is gone.
        wrong: what `problem` says of it.
    """
    if path.is_file():
        kept = path.rename(edited_name(path))
        warnings.warn(f"{path} {wrong}; it is made again, and kept as {kept.name}.", stacklevel=2)


def write_text(path: Path, text: str) -> None:
    """Write a text file by renaming, so that it is never seen half-written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the place of `folder`, as a whole, if all goes well.

    What stood there before stays until then, and comes back if its place cannot be taken.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    new, old = beside / "new", beside / "old"
    try:
        new.mkdir()
        yield new
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(new, folder)
        except OSError:
            if old.exists():
                os.replace(old, folder)
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
