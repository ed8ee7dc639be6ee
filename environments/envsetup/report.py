"""Messages of the set-up to a person: progress lines, and errors of one sentence.

Every module here prints through `say` and fails with `SetupError`. So only `setup.py` decides how a
failure is shown and which exit status it has.
"""

from __future__ import annotations


class SetupError(RuntimeError):
    """An environment could not be set up.

    The message says what was expected, what was seen and what to do.
    """


def say(line: str) -> None:
    """Print one progress line at once, even if the output goes to a file or through make."""
    print(line, flush=True)
