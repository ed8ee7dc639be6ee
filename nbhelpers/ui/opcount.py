"""The ops in a model file, read without any framework.

ONNX models, frozen graphs and SavedModels are protocol buffers. Only the fields that lead to the
name of an op are read, so a file of any size is counted quickly.
"""

import mmap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from graphcore.protobuf_fields import BYTES, fields

_WAYS = {
    ".onnx": (7, 1, 4),  # ModelProto.graph, GraphProto.node, NodeProto.op_type
    "saved_model.pb": (2, 2, 1, 2),  # SavedModel.meta_graphs, .graph_def, .node, NodeDef.op
    ".pb": (1, 2),  # GraphDef.node, NodeDef.op
}


def op_counts(path: str | Path) -> dict[str, int]:
    """Return how often each op occurs in an `.onnx` or `.pb` file, most frequent first.

    Ops inside functions and the branches of If and Loop are not counted.

    Raises:
        ValueError: the file is of another kind, or is cut short.
    """
    path = Path(path)
    way = next((way for ending, way in _WAYS.items() if path.name.endswith(ending)), None)
    if way is None:
        raise ValueError(f"A model file ends in .onnx or .pb, but this is {path.name!r}.")
    if not path.stat().st_size:
        return {}
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        memoryview(content) as view,
    ):
        try:
            counts = Counter(_texts(view, 0, len(view), way))
        except (IndexError, ValueError) as error:
            raise ValueError(f"{path.name} is cut short, or not a model file.") from error
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _texts(view: memoryview, start: int, end: int, way: tuple[int, ...]) -> Iterator[str]:
    """Yield the texts that the field numbers in `way` lead to, between `start` and `end`."""
    for field in fields(view, start, end):
        if (field.number, field.kind) != (way[0], BYTES):
            continue
        if len(way) == 1:
            yield bytes(view[field.content : field.end]).decode()
        else:
            yield from _texts(view, field.content, field.end, way[1:])
