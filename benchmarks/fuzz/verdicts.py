"""The outcome of a call of a verb: right, refused, or one of the forbidden kinds."""

import traceback
from pathlib import Path

from graphcore.errors import Refusal

LONGEST = 2000
"""The most characters that a message may have."""

OWN = ("nbhelpers", "graphcore", "onnxgraph", "tfgraph", "torchgraph")
"""The packages whose lines are searched for in a traceback."""

GOOD = ("right", "refused")
BAD = ("foreign", "long", "wrong", "dead", "hang", "memory")


class Wrong(Exception):
    """A verb gave a result that does not agree with its input."""


def judged(error: BaseException | None) -> tuple[str, str, str, str]:
    """Return the verdict on a call, the error's type, its place, and its words."""
    if error is None:
        return "right", "", "", ""
    words, kind = str(error), type(error).__name__
    if isinstance(error, Refusal):
        verdict = "refused" if 0 < len(words) < LONGEST else "long"
    else:
        verdict = {"Wrong": "wrong", "MemoryError": "memory"}.get(kind, "foreign")
        verdict = "memory" if "bad_alloc" in words else verdict
    return verdict, kind, _place(error), words


def _place(error: BaseException) -> str:
    """Return the last line of our packages in a traceback, and the last line of all."""
    frames = traceback.extract_tb(error.__traceback__)[-2000:]
    own = [frame for frame in frames if _package(frame)]
    found = dict.fromkeys(_line(frame) for frame in (*own[-1:], *frames[-1:]))
    return " → ".join(found)


def _line(frame: traceback.FrameSummary) -> str:
    parts = Path(frame.filename).parts
    package = _package(frame)
    start = parts.index(package) if package else -2
    return f"{'/'.join(parts[start:])}:{frame.lineno} {frame.name}"


def _package(frame: traceback.FrameSummary) -> str:
    """Return which of our packages a frame is in, or "" if it is in none of them."""
    return next((part for part in Path(frame.filename).parts if part in OWN), "")
