"""Files that somebody else may have damaged: what a parser says of them becomes one sentence.

`reading` is put around the call of the parser alone, so that a mistake of this package is never
taken for a damaged file. `read_json` reads JSON more strictly than Python does.
"""

import errno
import json
import math
import pickle
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graphcore.errors import Refusal, first_line
from graphcore.forms import Form, check
from graphcore.system_errors import mend_to_read

FOREIGN: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    pickle.PickleError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What parsers raise about damaged files: those of Python, NumPy, PyTorch and safetensors."""

DEEPEST = 50
"""Lists and objects that may be inside each other in JSON that this package reads."""

LARGEST = 64 << 20
"""Bytes of a JSON file; in memory it takes up to thirty times as many."""

_REASON = 200


@contextmanager
def reading(
    path: Path,
    wrong: str,
    *,
    error: type[Refusal],
    advice: str,
    more: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Turn what a parser raises about a damaged file into one sentence.

    Args:
        path: the file.
        wrong: what is wrong then, in words that follow its name ("is not a handoff record").
        error: the kind of error to raise.
        advice: what to do ("copy it again").
        more: errors that this parser alone raises.

    Raises:
        Refusal: `error`, about anything in `FOREIGN` or `more`; a `Refusal` passes as it is.
    """
    try:
        yield
    except Refusal:
        raise
    except (*FOREIGN, *more) as raised:
        mend = mend_to_read(raised)
        wrong, advice = ("cannot be read", mend) if mend else (wrong, advice)
        raise error(f"{path} {wrong} ({reason(raised)}); {advice}.") from raised


def reason(raised: BaseException) -> str:
    """Return what a parser says, in a few words."""
    if isinstance(raised, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(raised, RecursionError):
        return "it is nested too deeply"
    said = (isinstance(raised, OSError) and raised.strerror) or first_line(raised)
    return said if len(said) <= _REASON else f"{said[:_REASON]} …"


def read_json(
    path: Path,
    wrong: str,
    *,
    error: type[Refusal],
    advice: str,
    form: Form = object,
    largest: int = LARGEST,
) -> Any:
    """Return what a JSON file says.

    No key may be there twice, no number be NaN, infinite or longer than 64 bits, and no text hold
    half of a character.

    Args:
        path: the file.
        wrong: what is wrong if it cannot be read; see `reading`.
        error: the kind of error to raise.
        advice: what to do.
        form: what its values must be; see `forms.check`.
        largest: bytes that the file may have.

    Raises:
        FileNotFoundError: there is no such file; some callers begin a new one then.
        Refusal: `error`, if it cannot be read or has another form.
    """
    try:
        with reading(path, wrong, error=error, advice=advice):
            check_regular(path)
            with path.open("rb") as file:
                content = file.read(largest + 1)
            if len(content) > largest:
                raise ValueError(f"it is larger than {largest >> 20} MB")
            data = parse_json(content)
            check(data, form)
            return data
    except Refusal as refusal:
        if isinstance(refusal.__cause__, FileNotFoundError):
            raise refusal.__cause__ from None
        raise


def check_regular(path: Path) -> None:
    """Check that a path is that of a file: to open something else may wait for ever.

    Raises:
        OSError: it is something else, or there is nothing.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is a folder" if path.is_dir() else "it is no regular file")


def parse_json(content: bytes) -> Any:
    """Return what JSON says, read as strictly as `read_json` does.

    Raises:
        ValueError: it is not JSON of this kind.
        RecursionError: it is nested too deeply.
    """
    text = content.decode("utf-8")
    data = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    _check_plain(data, 0)
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice")
        found[key] = value
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _check_plain(value: Any, depth: int) -> None:
    """Check what JSON's own grammar leaves open."""
    if depth > DEEPEST:
        raise RecursionError
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is too large")
    elif isinstance(value, int) and abs(value) >= 2**64:
        raise ValueError("a number is longer than 64 bits")
    elif isinstance(value, dict):
        for key, each in value.items():
            key.encode("utf-8")
            _check_plain(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            _check_plain(each, depth + 1)
