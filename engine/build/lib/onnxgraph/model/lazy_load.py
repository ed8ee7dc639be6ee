"""Read a model file but for its large weights, which stay in it until one is asked for.

A file is one protobuf message: each part of it begins with its number and kind, and tells its
length, so that a part can be stepped over. Whatever is unusual is left to protobuf itself.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import onnx
from google.protobuf.message import DecodeError

from onnxgraph.model import external
from onnxgraph.model.weightless import LIGHT

LEAST = 16 * LIGHT
"""A weight of more bytes is left in the file: whatever its type, its values are too many for a
shape."""

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
"""Numbers of parts of ModelProto, GraphProto and TensorProto."""

_BYTES = 2
"""The kind of the parts that tell their length, such as messages and raw data."""

_SIZES = {1: 8, 5: 4}
"""The bytes of parts of the other kinds."""


Places: TypeAlias = dict[int, tuple[int, int]]
"""Number of an initializer to where in the file its values begin, and their bytes."""


class _Part(NamedTuple):
    number: int
    kind: int
    begin: int
    content: int
    end: int


def read(path: Path) -> tuple[onnx.ModelProto, Places] | None:
    """Return the model without the values of its large weights, and where in the file those lie.

    None if the file is unusual.
    """
    try:
        if not path.is_file():  # to open something else may wait for ever
            return None
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            content, places = _model(data)
        model = onnx.ModelProto.FromString(content)
    except (OSError, LookupError, ValueError, DecodeError):
        return None
    for index, (_, length) in places.items():
        tensor = model.graph.initializer[index]
        stored = tensor.HasField("raw_data") or tensor.data_location == onnx.TensorProto.EXTERNAL
        if stored or not external.fits(tensor, length):
            return None
    return model, places


def _model(data: mmap.mmap) -> tuple[bytes, Places]:
    """Return the file without large weights, and where those lie."""
    pieces: list[bytes] = []
    found: Places | None = None
    for part in _parts(data, 0, len(data)):
        if (part.number, part.kind) != (_GRAPH, _BYTES):
            pieces.append(data[part.begin : part.end])
            continue
        if found is not None:
            raise ValueError("two graphs, which protobuf makes one of")
        graph, found = _graph(data, part)
        pieces += [_head(_GRAPH, len(graph)), graph]
    return b"".join(pieces), found or {}


def _graph(data: mmap.mmap, graph: _Part) -> tuple[bytes, Places]:
    pieces: list[bytes] = []
    places: Places = {}
    index = -1
    for part in _parts(data, graph.content, graph.end):
        index += (part.number, part.kind) == (_INITIALIZER, _BYTES)
        values = _large_values(data, part)
        if values is None:
            pieces.append(data[part.begin : part.end])
            continue
        places[index] = values.content, values.end - values.content
        rest = data[part.content : values.begin] + data[values.end : part.end]
        pieces += [_head(_INITIALIZER, len(rest)), rest]
    return b"".join(pieces), places


def _large_values(data: mmap.mmap, part: _Part) -> _Part | None:
    """Return the values of a large weight, if a part of a graph is one."""
    if (part.number, part.kind) != (_INITIALIZER, _BYTES) or part.end - part.content <= LEAST:
        return None
    inner = [each for each in _parts(data, part.content, part.end) if each.number == _RAW_DATA]
    large = len(inner) == 1 and inner[0].kind == _BYTES
    return inner[0] if large and inner[0].end - inner[0].content > LEAST else None


def _parts(data: mmap.mmap, position: int, end: int) -> Iterator[_Part]:
    """Yield the parts of a message.

    Raises:
        ValueError, IndexError: it is not one.
    """
    while position < end:
        begin = position
        head, position = _varint(data, position)
        number, kind = head >> 3, head & 7
        if kind == 0:
            content = position
            _, position = _varint(data, position)
        else:
            length, content = (
                _varint(data, position) if kind == _BYTES else (_SIZES[kind], position)
            )
            position = content + length
        if position > end:
            raise ValueError("cut short")
        yield _Part(number, kind, begin, content, position)


def _varint(data: mmap.mmap, position: int) -> tuple[int, int]:
    """Return a number, of which each byte holds seven bits, and where it ends."""
    number = 0
    for index in range(10):
        byte = data[position + index]
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number, position + index + 1
    raise ValueError("a number of more than ten bytes")


def _head(number: int, length: int) -> bytes:
    """Return what stands before the content of a part."""
    parts = bytearray([number << 3 | _BYTES])
    while length > 0x7F:
        parts.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*parts, length])
