"""Read a model file without its large weights, each of which is read from the file on demand.

A file is one protobuf message, whose fields can be skipped. Protobuf itself reads unusual files.
"""

import mmap
from pathlib import Path
from typing import TypeAlias

import onnx
from google.protobuf.message import DecodeError

from graphcore.protobuf_fields import BYTES, Field, fields, head
from onnxgraph.model import external
from onnxgraph.model.weightless import LARGE

LEAST = 16 * LARGE
"""A weight of more bytes stays in the file.

No shape has so many values, whatever their type.
"""

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
"""Numbers of fields of ModelProto, GraphProto and TensorProto."""

Places: TypeAlias = dict[int, tuple[int, int]]
"""Number of an initializer to the first byte of its values in the file, and their size."""


def read(path: Path) -> tuple[onnx.ModelProto, Places] | None:
    """Return the model without the values of its large weights, and their places in the file.

    Return None if the file is unusual.
    """
    try:
        if not path.is_file():  # opening anything else may block forever
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
    """Return the file without large weights, and their places."""
    pieces: list[bytes] = []
    found: Places | None = None
    for part in fields(data, 0, len(data)):
        if (part.number, part.kind) != (_GRAPH, BYTES):
            pieces.append(data[part.begin : part.end])
            continue
        if found is not None:
            raise ValueError("two graphs, which protobuf would merge")
        graph, found = _graph(data, part)
        pieces += [head(_GRAPH, len(graph)), graph]
    return b"".join(pieces), found or {}


def _graph(data: mmap.mmap, graph: Field) -> tuple[bytes, Places]:
    pieces: list[bytes] = []
    places: Places = {}
    index = -1
    for part in fields(data, graph.content, graph.end):
        index += (part.number, part.kind) == (_INITIALIZER, BYTES)
        values = _large_values(data, part)
        if values is None:
            pieces.append(data[part.begin : part.end])
            continue
        places[index] = values.content, values.end - values.content
        rest = data[part.content : values.begin] + data[values.end : part.end]
        pieces += [head(_INITIALIZER, len(rest)), rest]
    return b"".join(pieces), places


def _large_values(data: mmap.mmap, part: Field) -> Field | None:
    """Return the values of a large weight, if a part of a graph is one."""
    if (part.number, part.kind) != (_INITIALIZER, BYTES) or part.end - part.content <= LEAST:
        return None
    inner = [each for each in fields(data, part.content, part.end) if each.number == _RAW_DATA]
    large = len(inner) == 1 and inner[0].kind == BYTES
    return inner[0] if large and inner[0].end - inner[0].content > LEAST else None
