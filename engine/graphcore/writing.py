"""Files that are written: an error of the file system becomes one sentence.

Put `writing` only around the code that writes a file or a folder, as `reading` around a parser.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphcore.errors import Refusal
from graphcore.system_errors import NAMELESS, unwritable


class Unwritten(OSError):
    """The cause of a refusal by `writing`.

    A verb around it that writes more reports it in its own words.
    """


@contextmanager
def writing(path: str | Path, *, error: type[Refusal]) -> Iterator[None]:
    """Turn an error of the file system into a refusal.

    The error is about a file or folder, or about a place beside it.

    The body must leave the old file or folder unchanged (see `atomic_files`).

    Raises:
        Refusal: of the kind `error`, if the path cannot be written. Other errors pass unchanged.
    """
    path = Path(path)
    try:
        yield
    except Exception as raised:
        said = _system_error(raised)
        if said is None or not (is_about(said, path.parent) or _named(said) in path.parents):
            raise
        if said.errno == errno.ENOENT and not path.parent.exists():
            reason = f"there is no folder {path.parent}. Make it first"
        elif not (reason := unwritable(said)):
            raise
        raise error(
            f"{path} cannot be written: {reason}. What was there before is unchanged."
        ) from Unwritten(*said.args, said.filename)


def is_about(error: OSError, folder: Path) -> bool:
    """Whether an error is about a place in a folder, or about a write to an unknown place."""
    name = _named(error)
    if name is None:
        return error.errno in NAMELESS
    return folder.absolute() in name.absolute().parents


def _named(error: OSError) -> Path | None:
    name = error.filename
    return Path(os.fsdecode(name)) if isinstance(name, str | bytes) and name else None


def _system_error(error: Exception) -> OSError | None:
    """Return the error of the file system that caused another one, or None.

    TensorFlow and safetensors give only its words. An inner verb has already raised a refusal.
    """
    cause = error.__cause__
    if isinstance(error, Refusal):
        return cause if isinstance(cause, Unwritten) else None
    if isinstance(error, OSError):
        return error
    words = {os.strerror(code): code for code in NAMELESS}
    return next((OSError(words[each], each) for each in words if each in str(error)), None)
