"""Training checkpoints of TensorFlow 1: put the saved values into the graph saved beside them.

Only the variables that the outputs need are read, whatever else the file holds. Both formats are
read, even those of TensorFlow 1.4.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphcore.enumeration import listed
from graphcore.errors import GraphError, first_line
from tfgraph import framework
from tfgraph.graphs.constants import variables, with_constants
from tfgraph.graphs.cut import SHAPES, check_known, check_size
from tfgraph.graphs.order import maker
from tfgraph.graphs.validity import check_form

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""What every checkpoint of TensorFlow 2 holds."""

_PARTS = (
    "Convert it in parts: name a tensor between them in outputs= and then in inputs=, and put them "
    "together with onnxgraph.join."
)


@dataclass(frozen=True)
class Place:
    """The place of a variable in a checkpoint: its name, and its part if it is partitioned."""

    name: str
    part: tuple[slice, ...] = ()

    def shape(self, whole: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of the part."""
        sizes = zip(self.part, whole, strict=True) if self.part else ()
        return tuple(len(range(size)[part]) for part, size in sizes) or tuple(whole)


def prefix(path: str | Path) -> Path | None:
    """Return the prefix of a checkpoint's files ("model.ckpt-10"), or None if it is not a
    checkpoint.

    Args:
        path: the prefix itself, its `.meta` or `.index` file, or the folder of the last checkpoint.

    Raises:
        GraphError: the folder's file `checkpoint` does not name the last checkpoint.
    """
    path = Path(path)
    if path.is_dir() and (path / "checkpoint").is_file():
        path = path / _latest(path)
    if path.suffix in (".meta", ".index"):
        path = path.with_suffix("")
    if not path.name:  # "." is a folder
        return None
    there = [path.with_name(f"{path.name}{end}") for end in (".index", ".meta")]
    return path if any(each.is_file() for each in there) else None


def _latest(folder: Path) -> str:
    """Return the name of the last checkpoint in a folder.

    TensorFlow writes it beside them, with the path that the folder had then.
    """
    tf = framework.tensorflow()
    try:
        state = tf.train.get_checkpoint_state(str(folder))
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise GraphError(
            f"{folder / 'checkpoint'} should name the last checkpoint, but cannot be read: "
            f"{first_line(error)}. Give the checkpoint itself, without the end of its files: "
            "model.ckpt-100 for model.ckpt-100.index."
        ) from error
    return Path(state.model_checkpoint_path).name if state else ""


def meta_graph(checkpoint: Path) -> "MetaGraphDef":
    """Return the graph that was saved beside the values.

    Raises:
        GraphError: there is none, or it was cut short.
    """
    framework.tensorflow()
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import meta_graph_pb2

    file = checkpoint.with_name(f"{checkpoint.name}.meta")
    if not file.is_file():
        raise GraphError(
            f"{checkpoint} is a checkpoint without its graph: there is no file {file.name}. Give "
            "the graph (a .pb or .pbtxt file) as the source and this as checkpoint=; weights that "
            "Keras saved belong into the Keras model that they were saved from."
        )
    message = meta_graph_pb2.MetaGraphDef()
    try:
        message.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise GraphError(
            f"{file} is not a whole graph: it was cut short. Copy it again."
        ) from error
    if not message.graph_def.node:
        raise GraphError(f"{file} holds no graph. Copy it again.")
    return message


def training_graph(checkpoint: Path) -> "GraphDef":
    """Return the whole graph beside a checkpoint, in the form that this TensorFlow accepts.

    Raises:
        GraphError: there is no such file, or it was cut short.
        ConversionError: it has ops that this TensorFlow does not know.
    """
    graph_def = meta_graph(checkpoint).graph_def
    check_known(graph_def)
    for node in graph_def.node:
        node.attr.pop(SHAPES, None)  # old shapes of gradients contradict today's inference
    return graph_def


def frozen(
    graph_def: "GraphDef", *, checkpoint: Path, places: Mapping[str, Place] | None = None
) -> "GraphDef":
    """Return the graph with the checkpoint's values in place of its variables.

    Args:
        graph_def: the part of a graph that is needed.
        checkpoint: the prefix of the checkpoint's files.
        places: variable node → place in the checkpoint, if that is not its name (see `saved_as`).

    Raises:
        GraphError: a variable is not in the checkpoint or has another shape. The message names all.
    """
    nodes = variables(graph_def)
    values = _values(nodes, _reader(checkpoint), checkpoint, places or {})
    return with_constants(graph_def, values)


def has_objects(checkpoint: Path) -> bool:
    """Whether a checkpoint is one of TensorFlow 2, which names objects instead of variables."""
    return _OBJECTS in _reader(checkpoint).get_variable_to_shape_map()


def saved_as(graph_def: "GraphDef") -> dict[str, Place]:
    """Return variable node → place in the checkpoint, as restored by the Saver in the graph.

    Raises:
        GraphError: a node does not have the form of its op.
    """
    check_form(graph_def)
    try:
        return _restored(graph_def)
    except (LookupError, MemoryError, TypeError, ValueError) as error:
        raise GraphError(
            f"The graph's Saver does not state what it restores ({first_line(error)}), so the "
            "file was changed or damaged. Copy it again."
        ) from error


def _restored(graph_def: "GraphDef") -> dict[str, Place]:
    from tensorflow import make_ndarray

    def texts(tensor: str) -> list[str]:
        values = make_ndarray(nodes[tensor].attr["value"].tensor)
        if values.dtype != object:
            raise ValueError(f"{tensor} holds {values.dtype}, not texts")
        return [each.decode() for each in values]

    nodes = {node.name: node for node in graph_def.node}
    found = {}
    for node in nodes.values():
        if node.op not in ("Assign", "AssignVariableOp") or len(node.input) < 2:
            continue
        name, _, number = _behind(node.input[1], nodes).partition(":")
        if name in nodes and nodes[name].op == "RestoreV2":
            keys, slices = map(texts, nodes[name].input[1:3])
            place = int(number or 0)
            found[maker(node.input[0])] = Place(keys[place], _slices(slices[place]))
    return found


def _behind(source: str, nodes: Mapping[str, "NodeDef"]) -> str:
    """Return the tensor behind a chain of Identity nodes."""
    seen: set[str] = set()
    while (name := maker(source)) in nodes and nodes[name].op == "Identity":
        if name in seen:
            raise ValueError(f"the node {name!r} feeds itself")
        seen.add(name)
        source = nodes[name].input[0]
    return source


def _slices(text: str) -> tuple[slice, ...]:
    """Return the slices in a text such as "5 4 0,2:-": of 5 × 4 values, the first two rows, and
    all."""
    spans = [part.split(",") for part in text.split(" ")[-1].split(":") if part]
    return tuple(
        slice(int(span[0]), int(span[0]) + int(span[1])) if len(span) == 2 else slice(None)
        for span in spans
    )


def _reader(checkpoint: Path) -> Any:
    tf = framework.tensorflow()
    try:
        return tf.train.load_checkpoint(str(checkpoint))
    except (tf.errors.OpError, LookupError, ValueError, RuntimeError) as error:
        raise GraphError(
            f"The checkpoint {checkpoint} cannot be read: {first_line(error)}. Copy its .index and "
            ".data files again, as they were written, into one folder."
        ) from error


def _values(
    nodes: list["NodeDef"], reader: Any, checkpoint: Path, known: Mapping[str, Place]
) -> dict[str, np.ndarray]:
    """Return each variable's value, by its node."""
    tf = framework.tensorflow()
    shapes = reader.get_variable_to_shape_map()
    if _OBJECTS in shapes:
        raise GraphError(
            f"{checkpoint} is a checkpoint of TensorFlow 2, which does not name the variables of "
            "a graph. Load it into the model that wrote it, and give that or its SavedModel."
        )
    places = {node.name: known.get(node.name) or Place(_plain_name(node)) for node in nodes}
    missing = [place.name for place in places.values() if place.name not in shapes]
    if missing:
        first = listed(map(repr, missing), most=10)
        raise GraphError(
            f"The checkpoint {checkpoint} does not have {len(missing)} of the {len(places)} "
            f"variables that the outputs need: {first}. It belongs to another graph, or was "
            "saved before they were added."
        )
    for node in nodes:
        place = places[node.name]
        shape, seen = tf.TensorShape(node.attr["shape"].shape), place.shape(shapes[place.name])
        if not shape.is_compatible_with(seen):
            raise GraphError(
                f"The variable {node.name!r} has the shape {shape} in the graph and {seen} "
                f"in the checkpoint {checkpoint}, so they do not belong together."
            )
    sizes = (
        math.prod(places[n.name].shape(shapes[places[n.name].name])) * _bytes(n) for n in nodes
    )
    check_size(f"What the outputs need of {checkpoint}", sum(sizes), advice=_PARTS)
    try:
        return {n: reader.get_tensor(place.name)[place.part] for n, place in places.items()}
    except (tf.errors.OpError, ValueError, RuntimeError, LookupError) as error:
        raise GraphError(
            f"The checkpoint {checkpoint} cannot be read to its end: {first_line(error)}. Copy its "
            ".data files again."
        ) from error


def _bytes(node: "NodeDef") -> int:
    return int(framework.tensorflow().as_dtype(node.attr["dtype"].type).size)


def _plain_name(node: "NodeDef") -> str:
    """Return the name under which a variable is saved by default."""
    shared = node.attr["shared_name"].s.decode() if node.op == "VarHandleOp" else ""
    return shared or node.name
