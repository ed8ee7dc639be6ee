"""Write a GraphDef node by node, because protobuf would first copy the whole graph into memory.

The bytes are the same as protobuf's. A weight's values go directly from its array to the file.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from graphcore.atomic_files import replacing
from graphcore.errors import GraphError
from graphcore.protobuf_fields import head
from graphcore.writing import writing
from tfgraph.graphs.order import without_nodes

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

Piece: TypeAlias = bytes | memoryview
"""Bytes of a message, or of an array."""

_GRAPH_NODE, _NODE_ATTR, _KEY, _VALUE, _TENSOR, _CONTENT = 1, 5, 1, 2, 8, 4
"""Field numbers of GraphDef, NodeDef, its attributes, AttrValue and TensorProto."""


def write_graph(graph_def: "GraphDef", weights: Mapping[str, np.ndarray], path: str | Path) -> Path:
    """Write a graph by renaming, with constants in place of the placeholders for `weights`.

    The same graph gives the same bytes.

    Raises:
        GraphError: it is larger than the 2 GB that protobuf allows, or cannot be written.
    """
    rest = without_nodes(graph_def)
    path = Path(path)
    with writing(path, error=GraphError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(graph_def, weights, rest, path)
    return path


def _write(
    graph_def: "GraphDef", weights: Mapping[str, np.ndarray], rest: "GraphDef", path: Path
) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        for node in graph_def.node:
            if node.name in weights:
                pieces = _constant(node, weights[node.name])
            else:
                pieces = [node.SerializeToString(deterministic=True)]
            for piece in _part(_GRAPH_NODE, pieces):
                file.write(piece)
        file.write(rest.SerializeToString(deterministic=True))
        size = file.tell()
        if size >= 2**31:
            raise GraphError(
                f"The frozen graph has {size / 2**30:.1f} GiB and protobuf allows 2; a SavedModel "
                "with variables is the form for a model of this size."
            )


def _constant(placeholder: "NodeDef", value: np.ndarray) -> list[Piece]:
    """Return a constant with the placeholder's name, in pieces."""
    node = type(placeholder)(name=placeholder.name, op="Const", input=placeholder.input)
    node.attr["dtype"].CopyFrom(placeholder.attr["dtype"])
    begin = node.SerializeToString(deterministic=True)  # the last attribute, "value", follows
    tensor = node.attr["value"].tensor
    tensor.dtype = placeholder.attr["dtype"].type
    for size in value.shape:
        tensor.tensor_shape.dim.add(size=size)
    values = np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
    pieces = [tensor.SerializeToString(deterministic=True), *_part(_CONTENT, [values])]
    entry = [*_part(_KEY, [b"value"]), *_part(_VALUE, _part(_TENSOR, pieces))]
    return [begin, *_part(_NODE_ATTR, entry)]


def _part(number: int, pieces: Iterable[Piece]) -> list[Piece]:
    """Return a field of a message: its header and its contents."""
    pieces = list(pieces)
    length = sum(len(piece) for piece in pieces)
    return [head(number, length), *pieces]
