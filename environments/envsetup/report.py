"""What the set-up says to a person: progress lines, and errors of one sentence.

Every module here prints through `say` and fails with `SetupError`, so that `setup.py` alone decides
how a failure looks and which exit status it has.
"""

from __future__ import annotations


class SetupError(RuntimeError):
    """An environment could not be set up: what was expected, what was seen, what to do."""


def say(line: str) -> None:
    """Print one progress line at once, also when the output goes to a file or through make."""
    print(line, flush=True)
