"""The fields of a protocol buffer, read and written without its definition.

Each field begins with its number and kind. A field of the kind `BYTES` also states its length, so a
reader can skip it. See "Encoding" in the documentation of protocol buffers.
"""

from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

BYTES = 2
"""The kind of the fields that state their length: messages, texts and raw data."""

_VARINT = 0
_SIZES = {1: 8, 5: 4}
"""Kind to number of bytes, for kinds whose fields all have the same size."""

Buffer = bytes | memoryview | mmap


class Field(NamedTuple):
    """A field between `begin` and `end`. Its content begins at `content`."""

    number: int
    kind: int
    begin: int
    content: int
    end: int


def fields(data: Buffer, position: int, end: int) -> Iterator[Field]:
    """Yield the fields of a message between two positions.

    Raises:
        ValueError, IndexError: these bytes are not a message.
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
    """Return the bytes before the content of a field of the kind `BYTES`."""
    parts = bytearray([number << 3 | BYTES])
    while length > 0x7F:
        parts.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*parts, length])


def _number(data: Buffer, position: int) -> tuple[int, int]:
    """Return a number, which has seven bits in each byte, and the position after it."""
    number = 0
    for index in range(10):
        byte = data[position + index]
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number, position + index + 1
    raise ValueError("a number has more than ten bytes")
