"""The fields of a protocol buffer, read and written without its definition.

Each field begins with its number and kind; one of the kind `BYTES` tells its length, so that a
reader can step over it. See "Encoding" in the documentation of protocol buffers.
"""

from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

BYTES = 2
"""The kind of the fields that tell their length: messages, texts and raw data."""

_VARINT = 0
_SIZES = {1: 8, 5: 4}
"""Kind to bytes, where all fields of a kind have as many."""

Buffer = bytes | memoryview | mmap


class Field(NamedTuple):
    """A field between `begin` and `end`; what it holds begins at `content`."""

    number: int
    kind: int
    begin: int
    content: int
    end: int


def fields(data: Buffer, position: int, end: int) -> Iterator[Field]:
    """Yield the fields of a message that lies between two positions.

    Raises:
        ValueError, IndexError: no message lies there.
    """
    while position < end:
        begin = position
        head, content = _number(data, position)
        kind = head & 7
        if kind == _VARINT:
            _, position = _number(data, content)
        elif kind == BYTES:
            length, content = _number(data, content)
            position = content + length
        elif kind in _SIZES:
            position = content + _SIZES[kind]
        else:
            raise ValueError(f"a field of the kind {kind}")
        if position > end:
            raise ValueError("a field is cut short")
        yield Field(head >> 3, kind, begin, content, position)


def head(number: int, length: int) -> bytes:
    """Return what stands before the content of a field of the kind `BYTES`."""
    parts = bytearray([number << 3 | BYTES])
    while length > 0x7F:
        parts.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*parts, length])


def _number(data: Buffer, position: int) -> tuple[int, int]:
    """Return a number, of which each byte holds seven bits, and where it ends."""
    number = 0
    for index in range(10):
        byte = data[position + index]
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number, position + index + 1
    raise ValueError("a number has more than ten bytes")
