"""Private copies of the messages that a model consists of."""

from typing import TypeVar

from google.protobuf.message import Message

Proto = TypeVar("Proto", bound=Message)


def copy_of(message: Proto) -> Proto:
    """Return a copy of a model, a node or any other message, which the caller may change."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
