"""Reading files that may be damaged: a parser's error becomes one clear message.

Put `reading` around the parser's call alone. Otherwise a bug of this package would look like a
damaged file. `read_json` reads JSON more strictly than Python does.
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
from graphcore.json_forms import Form, check
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
"""Errors that parsers raise about damaged files: Python's, NumPy's, PyTorch's and safetensors'."""

DEEPEST = 50
"""How deeply lists and objects may be nested in JSON that this package reads."""

LARGEST = 64 << 20
"""The most bytes in a JSON file. In memory it can take thirty times as much."""

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
    """Turn a parser's error about a damaged file into one clear message.

    Args:
        path: the file.
        wrong: what is wrong, in words that follow the file's name ("is not a handoff record").
        error: the kind of error to raise.
        advice: what to do, as a sentence without its full stop ("Copy it again").
        more: further errors that only this parser raises.

    Raises:
        Refusal: of the kind `error`, for any error in `FOREIGN` or `more`. A `Refusal` passes
            unchanged.
    """
    try:
        yield
    except Refusal:
        raise
    except (*FOREIGN, *more) as raised:
        mend = mend_to_read(raised)
        wrong, advice = ("cannot be read", mend) if mend else (wrong, advice)
        raise error(f"{path} {wrong} ({reason(raised)}). {advice}.") from raised


def reason(raised: BaseException) -> str:
    """Return the parser's reason in a few words."""
    if isinstance(raised, MemoryError):
        return "it asks for more memory than this machine has"
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
    """Return the content of a JSON file.

    The file is refused if a key occurs twice, a number is NaN, infinite or longer than 64 bits, or
    a text contains half of a character.

    Args:
        path: the file.
        wrong: what is wrong if it cannot be read (see `reading`).
        error: the kind of error to raise.
        advice: what to do, as a sentence without its full stop.
        form: what the values must be (see `forms.check`).
        largest: the most bytes that the file may have.

    Raises:
        FileNotFoundError: the file does not exist. Some callers then start a new one.
        Refusal: of the kind `error`, if the file cannot be read or has another form.
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
    """Check that a path leads to a regular file. Opening anything else may block forever.

    Raises:
        OSError: the path leads to something else, or to nothing.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(
            errno.EINVAL, "it is a folder" if path.is_dir() else "it is not a regular file"
        )


def parse_json(content: bytes) -> Any:
    """Return the content of JSON text, read as strictly as in `read_json`.

    Raises:
        ValueError: it is not valid JSON, or `read_json` would refuse it.
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
            raise ValueError(f"the key {key!r} occurs twice")
        found[key] = value
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")


def _check_plain(value: Any, depth: int) -> None:
    """Check the values that JSON's grammar allows and this package refuses."""
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
