"""Files of a handoff: their sha256, and writing in a way that nobody ever sees a half-written file.

This module does not know what a stage is. `record` and `handoff` are built on it.
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
"""Names inside the temporary folder: the new folder, the old folder, and the lock of the writer."""


def describe(path: Path) -> dict:
    """Return the sha256 and size in bytes of a file."""
    stat = path.stat()
    key = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    digest = _DIGESTS.get(key)
    if digest is None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        # A file written a moment ago can change again without a new time stamp, so it is not
        # cached.
        if time.time() - max(stat.st_mtime, stat.st_ctime) > 2:
            _DIGESTS[key] = digest
    return {"sha256": digest, "bytes": stat.st_size}


def problem(path: Path, recorded: dict) -> str:
    """Return what is wrong with a recorded file, or "". The words follow the file's name."""
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
    """Return a free name beside a file, for keeping the version that was edited by hand."""
    names = (path.with_name(f"{path.name}.edited{number or ''}") for number in itertools.count())
    return next(name for name in names if not name.exists())


def keep_edited(path: Path, wrong: str) -> None:
    """Move a file aside that was edited by hand, and warn. It may be somebody's work.

    Args:
        path: the file. Nothing happens if it does not exist.
        wrong: what `problem` found.
    """
    if path.is_file():
        kept = path.rename(edited_name(path))
        warnings.warn(f"{path} {wrong}. It is made again, and kept as {kept.name}.", stacklevel=2)


def write_text(path: Path, text: str) -> None:
    """Write a text file by renaming, so that nobody sees it half-written."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to. The file replaces `path` if no error occurs.

    The content is flushed to the disk before the renaming, and the new name after it. So even a
    power cut leaves the old file or the new one, never a part of one.

    Raises:
        OSError: the file cannot be written, or a device or a pipe has its name.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), str(path))
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
            if error.errno not in (
                errno.EINVAL,
                errno.EBADF,
                errno.ENOTSUP,
            ):  # this kind of file cannot be flushed
                raise
        finally:
            os.close(opened)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill. It replaces `folder` as a whole if no error occurs.

    The old folder stays until then. If the process is killed, either the old folder or the new one
    is there. Temporary files that a killed process leaves are removed when the folder is written
    again.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    recover(folder)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name[:50]}.", dir=folder.parent))
    new, old = _pair(beside, folder)
    lock = FileLock(beside / _LOCK, timeout=0)
    try:
        with suppress(OSError):  # no locks here, so nothing will clean up after a killed process
            lock.acquire()
        new.mkdir(parents=True)
        yield new
        flush(*(path for path in new.rglob("*") if not path.is_symlink()), new)
        _put(new, folder, old)
    finally:
        lock.release()
        shutil.rmtree(beside, ignore_errors=True)


def recover(folder: Path) -> None:
    """Restore a folder whose writer was killed, and remove the writer's temporary files."""
    for beside in folder.parent.glob(f".{glob.escape(folder.name[:50])}.*"):
        _, old = _pair(beside, folder)
        # The names "a" and "a.b" begin alike, so skip temporary files of another folder.
        if not (beside / _LOCK).is_file() or {*(beside / _OLD).glob("*")} - {old}:
            continue
        with suppress(OSError, Timeout), FileLock(beside / _LOCK, timeout=0):
            if old.is_dir() and not folder.exists():
                os.replace(old, folder)
            shutil.rmtree(beside, ignore_errors=True)


def _pair(beside: Path, folder: Path) -> tuple[Path, Path]:
    """Return the path of the new folder while it is filled, and the old one's path meanwhile."""
    return beside / _NEW / folder.name, beside / _OLD / folder.name


def _put(new: Path, folder: Path, old: Path) -> None:
    """Move a finished folder into the place of another."""
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
    """Swap two folders in one step. Return whether the system and the file system can do it.

    Source: renameat2(2) of Linux, renamex_np(2) of macOS. Flag 2 means "exchange" in both.
    """
    names, here = (os.fsencode(one), os.fsencode(other)), -100  # AT_FDCWD, for relative paths
    with suppress(AttributeError, OSError, TypeError):  # Windows, or an old C library
        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return library.renamex_np(*names, 2) == 0
        return library.renameat2(here, names[0], here, names[1], 2) == 0
    return False
