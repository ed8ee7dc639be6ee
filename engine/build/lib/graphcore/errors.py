"""The few ways in which this package says no.

Every message says what was expected, what was seen and what to do. All are `ValueError`s, so that a
script can catch one type; the subclass says which part of the work refused.
"""

import difflib
from collections.abc import Iterable

LONGEST = 1_900
"""Characters of a message; the middle of a longer one is left out, where the names are listed."""

_TAIL = 500
"""How much of its end stays: what to do is said there."""


class Refusal(ValueError):
    """The work was refused because going on would give something wrong or half-made.

    The message is shortened to what a person reads, and holds only what every terminal can show.
    """

    def __init__(self, *arguments: object) -> None:
        """Take the message."""
        super().__init__(*(_shown(each) if isinstance(each, str) else each for each in arguments))


class WrongKernel(Refusal):
    """The code runs in an environment that lacks the packages it needs."""


class HandoffError(Refusal):
    """A handoff folder is missing something, was changed, or cannot be written."""


class ModelError(Refusal):
    """A PyTorch model, its checkpoint or its example inputs cannot be used as they are."""


class GraphError(Refusal):
    """An ONNX or TensorFlow graph is broken, or an edit would break it."""


class ConversionError(Refusal):
    """A graph cannot be converted, or not for the target that was asked for."""


class ParityError(Refusal):
    """Two runs that must agree do not."""


class UnknownName(Refusal, KeyError):
    """A tensor, node or file was asked for by a name that does not exist."""

    def __str__(self) -> str:
        """Return the sentence itself (a plain `KeyError` would print its repr)."""
        return str(self.args[0])


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """Return the error for `name`, with the closest of the `known` names.

    Args:
        kind: what was looked for, in the reader's words ("TensorFlow tensor").
        name: the name that was given.
        known: every name that would have been right.
    """
    choices = list(known)
    close = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    close = close or [choice for choice in choices if name.lower() in choice.lower()][:3]
    if close:
        hint = "The closest are " + ", ".join(repr(choice) for choice in close) + "."
    elif len(choices) <= 12:
        hint = "There are " + (", ".join(repr(choice) for choice in choices) or "none") + "."
    else:
        hint = f"None of the {len(choices)} names is close."
    return UnknownName(f"There is no {kind} named {name!r}. {hint}")


def _shown(text: str) -> str:
    """Return a text without lone surrogates, which no terminal can show, and without its middle."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - _TAIL]} … {text[-_TAIL:]}"


_WHERE = ("Graph execution error", "Detected at node", "<stack traces", "Node: ", 'File "')


def first_line(error: BaseException) -> str:
    """Return the first line of what an error of another library says, without its full stop.

    TensorFlow puts the reason behind lines that say where in a graph it was noticed.
    """
    lines = [line.strip() for line in str(getattr(error, "message", error)).splitlines()]
    said = [line for line in lines if line and not line.startswith(_WHERE)]
    return (said[0] if said else type(error).__name__).rstrip(".")
