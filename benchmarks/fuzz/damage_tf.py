"""Damage to GraphDefs, SavedModels and checkpoints of TensorFlow."""

import contextlib
import random
from collections.abc import Callable

from damage_bytes import damaged_bytes
from damage_message import change
from google.protobuf import text_format
from seeds_tf import tf

from tensorflow.core.framework import graph_pb2, tensor_pb2  # isort: skip
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2  # isort: skip

Files = dict[str, bytes]
_SIZES = (-1, -2, 0, 1, 2, 7, 2**31, 2**40, 2**62, 2**63 - 1)


def damaged_graph(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return a description of the damage to a graph, and the files."""
    if rng.random() < 0.2:
        return _bytes(rng, files)
    return _message(rng, files, "graph.pb", graph_pb2.GraphDef, lambda message: message)


def damaged_text(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return a description of the damage to a graph as text, and the files."""
    if rng.random() < 0.5:
        return _bytes(rng, files)
    graph = text_format.Parse(files["graph.pbtxt"], graph_pb2.GraphDef())
    done = _change(rng, graph)
    return done, {"graph.pbtxt": text_format.MessageToBytes(graph)}


def damaged_saved_model(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return a description of the damage to a SavedModel, and the files."""
    if done := _files(rng, files, until=0.5):
        return done
    name = next(name for name in files if name.endswith("saved_model.pb"))
    return _message(rng, files, name, saved_model_pb2.SavedModel, lambda m: m.meta_graphs[0])


def damaged_checkpoint(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return a description of the damage to a checkpoint, and the files."""
    if done := _files(rng, files, until=0.6):
        return done
    name = next(name for name in files if name.endswith(".meta"))
    return _message(rng, files, name, meta_graph_pb2.MetaGraphDef, lambda message: message)


def _files(rng: random.Random, files: Files, *, until: float) -> tuple[str, Files] | None:
    """Remove a file or damage its bytes in a share `until` of all cases, else return None."""
    draw = rng.random()
    if draw < 0.15:
        return _without(rng, files)
    return _bytes(rng, files) if draw < until else None


def _without(rng: random.Random, files: Files) -> tuple[str, Files]:
    name = rng.choice(list(files))
    kept = {each: content for each, content in files.items() if each != name}
    return f"without {name}", kept or files


def _bytes(rng: random.Random, files: Files) -> tuple[str, Files]:
    name = rng.choice(list(files))
    how, content = damaged_bytes(rng, files[name])
    return f"{how} {name}", files | {name: content}


def _message(
    rng: random.Random, files: Files, name: str, kind: type, part: Callable
) -> tuple[str, Files]:
    message = kind.FromString(files[name])
    done = [_change(rng, part(message)) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    return ", ".join(done), files | {name: message.SerializePartialToString()}


def _change(rng: random.Random, message) -> str:
    """Change a message that holds a graph, or is one."""
    if rng.random() < 0.5:
        return change(rng, message)
    graph = message if isinstance(message, graph_pb2.GraphDef) else message.graph_def
    if not graph.node:
        return change(rng, message)
    how = rng.choice(_WAYS)
    with contextlib.suppress(LookupError, TypeError, ValueError):  # the file is damaged already
        how(rng, graph)
    return how.__name__.strip("_")


def _nodes(graph) -> list:
    return [*graph.node, *(node for f in graph.library.function for node in f.node_def)]


def _constant(rng: random.Random, graph) -> None:
    """Let the values, the type and the shape of a constant contradict each other."""
    found = [node for node in _nodes(graph) if node.op == "Const"]
    if not found:
        return
    node = rng.choice(found)
    tensor = node.attr["value"].tensor
    way = rng.randrange(6)
    if way == 0 or (way == 1 and not tensor.tensor_shape.dim):
        tensor.tensor_shape.dim.add(size=rng.choice(_SIZES))
    elif way == 1:
        rng.choice(tensor.tensor_shape.dim).size = rng.choice(_SIZES)
    elif way == 2:
        tensor.tensor_content = tensor.tensor_content[:-1] + rng.choice((b"", b"\0" * 9))
    elif way == 3:
        tensor.dtype = rng.choice((0, 1, 3, 7, 8, 9, 10, 20, 21, 23, 26, 101, 1000))
        if rng.random() < 0.7:
            node.attr["dtype"].type = tensor.dtype
    elif way == 4:
        value = rng.choice((-1, 0, 2**31 - 1, 2**20, 5))
        whole = tf.make_tensor_proto([value] * rng.choice((1, 2, 3)), tf.int32)
        node.attr["value"].tensor.CopyFrom(whole)
        node.attr["dtype"].type = whole.dtype
    else:
        node.attr["value"].tensor.CopyFrom(tensor_pb2.TensorProto(dtype=node.attr["dtype"].type))


def _attribute(rng: random.Random, graph) -> None:
    """Remove an attribute, change its kind, or add one."""
    found = [node for node in _nodes(graph) if node.attr]
    if not found:
        return
    node = rng.choice(found)
    key = rng.choice(sorted(node.attr))
    others = [other.attr[name] for other in found for name in sorted(other.attr)]
    copy = type(others[0])()
    copy.CopyFrom(rng.choice(others))
    if rng.random() < 0.3:
        del node.attr[key]
    else:
        node.attr[rng.choice((key, key, key, "T", "dtype", "shape", "_class", "x"))].CopyFrom(copy)


def _operator(rng: random.Random, graph) -> None:
    """Let a node use an op that does not exist, or another op."""
    rng.choice(_nodes(graph)).op = rng.choice(_OPS)


_OPS = (
    *("", "Nothing", "Const", "Placeholder", "VariableV2", "PyFunc", "ReadFile", "Fill", "Range"),
    *("Merge", "Switch", "Enter", "While", "StatefulPartitionedCall", "TensorListReserve", "Empty"),
    *("HashTableV2", "RestoreV2", "Assert", "Bincount", "Reshape", "Conv2D", "MaxPool", "Stage"),
)


def _wires(rng: random.Random, graph) -> None:
    """Connect nodes wrongly: to nothing, to themselves, or to an output that does not exist."""
    node = rng.choice(_nodes(graph))
    names = [each.name for each in graph.node]
    made = rng.choice((*names, "nowhere", "", "^", ":0", "a:b", f"{names[0]}:7", f"{names[0]}:-1"))
    made = rng.choice(("", "^")) + made
    if node.input and rng.random() < 0.6:
        place = rng.randrange(len(node.input))
        if rng.random() < 0.4:
            del node.input[place]
        else:
            node.input[place] = made
    else:
        node.input.append(made)


def _name(rng: random.Random, graph) -> None:
    """Rename a node to the name of another one, or to an odd name."""
    odd = ("", "a b", "/", "_x", "\0", "\n", "x" * 3000, "a:0", "^a", "入力")
    rng.choice(_nodes(graph)).name = rng.choice((*odd, *(each.name for each in graph.node)))


def _function(rng: random.Random, graph) -> None:
    """Let a function call itself, or let a node that is not a call call it."""
    functions = graph.library.function
    if not functions:
        node = rng.choice(graph.node)
        node.op = node.name
        return
    function = rng.choice(functions)
    called = function.signature.name
    if rng.random() < 0.5 and function.node_def:
        node = rng.choice(function.node_def)
        node.op = rng.choice((called, "PartitionedCall"))
        node.attr["f"].func.name = called
    else:
        function.signature.name = rng.choice(("", "x", functions[0].signature.name))


def _placeholder(rng: random.Random, graph) -> None:
    """Give an input another shape or type."""
    found = [node for node in graph.node if node.op.startswith("Placeholder")]
    if found:
        attr = rng.choice(found).attr
        attr["shape"].shape.dim.add(size=rng.choice(_SIZES))
        if rng.random() < 0.4:
            attr["dtype"].type = rng.choice((0, 1, 3, 7, 10, 20, 21, 101, 1000))


def _version(rng: random.Random, graph) -> None:
    """State that the graph needs a TensorFlow of the future, or state no version."""
    graph.versions.min_consumer = rng.choice((0, -1, 1, 10**6))
    graph.versions.producer = rng.choice((0, -1, 8, 26, 10**6, 2**31 - 1))


_WAYS = (
    *(_constant, _constant, _attribute, _attribute, _operator, _wires, _wires, _name),
    *(_function, _placeholder, _version),
)
