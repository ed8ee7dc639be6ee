"""Files of a handoff: sha256, and writing that is never seen half-done.

Nothing here knows what a stage is; `record` and `handoff` are built on it.
"""

import ctypes
import errno
import glob
import hashlib
import itertools
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_DIGESTS: dict[tuple[int, ...], str] = {}

_NEW, _OLD, _LOCK = "new", "old", "lock"
"""What the folder beside one that is being written holds: both folders, and who writes."""


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
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name to write a file to, which takes the place of `path` if all goes well.

    Its content is on the disk before it has the name, and the name is on the disk in the end: not
    even a power cut leaves half a file.
    """
    temporary = path.with_name(f".{path.name[:50]}.{os.getpid()}.part")
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush(*paths: Path) -> None:
    """Wait until files, or the names in folders, are on the disk."""
    for path in paths:
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):  # it cannot flush
                raise
        finally:
            os.close(opened)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the place of `folder`, as a whole, if all goes well.

    What stood there before stays until then. A process that is killed leaves the old folder or the
    new one; what else it leaves goes when the folder is written again.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    recover(folder)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name[:50]}.", dir=folder.parent))
    new, old = _pair(beside, folder)
    lock = FileLock(beside / _LOCK, timeout=0)
    try:
        with suppress(OSError):  # without locks, what a killed process left stays there
            lock.acquire()
        new.mkdir(parents=True)
        yield new
        flush(*(path for path in new.rglob("*") if not path.is_symlink()), new)
        _put(new, folder, old)
    finally:
        lock.release()
        shutil.rmtree(beside, ignore_errors=True)


def recover(folder: Path) -> None:
    """Bring a folder back whose writer was killed, and remove what the writer left."""
    for beside in folder.parent.glob(f".{glob.escape(folder.name[:50])}.*"):
        _, old = _pair(beside, folder)
        # "a" and "a.b" begin alike: a folder of another name that waits there is not touched.
        if not (beside / _LOCK).is_file() or {*(beside / _OLD).glob("*")} - {old}:
            continue
        with suppress(OSError, Timeout), FileLock(beside / _LOCK, timeout=0):
            if old.is_dir() and not folder.exists():
                os.replace(old, folder)
            shutil.rmtree(beside, ignore_errors=True)


def _pair(beside: Path, folder: Path) -> tuple[Path, Path]:
    """Return where the new folder is filled, and where the old one may have to wait."""
    return beside / _NEW / folder.name, beside / _OLD / folder.name


def _put(new: Path, folder: Path, old: Path) -> None:
    """Move a whole folder into the place of another."""
    if not folder.exists():
        os.replace(new, folder)
    elif not _exchange(new, folder):
        old.parent.mkdir()
        os.replace(folder, old)
        try:
            os.replace(new, folder)
        except OSError:
            os.replace(old, folder)
            raise
    flush(folder.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step, where the system and the file system can.

    Source: renameat2(2) of Linux, renamex_np(2) of macOS; both know this as flag 2.
    """
    names, here = (os.fsencode(one), os.fsencode(other)), -100  # AT_FDCWD, for relative paths
    with suppress(AttributeError, OSError, TypeError):  # Windows, or an old C library
        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return library.renamex_np(*names, 2) == 0
        return library.renameat2(here, names[0], here, names[1], 2) == 0
    return False
