"""Private copies of the protobuf messages that models and graphs consist of."""

from typing import Any, TypeVar

Message = TypeVar("Message", bound=Any)


def copy_of(message: Message) -> Message:
    """Return a copy of a model, a graph, a node or another message, which the caller may change."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
