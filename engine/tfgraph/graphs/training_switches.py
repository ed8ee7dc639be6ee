"""Find switches, such as is_training, and fix their values in a graph.

In a graph of TensorFlow 1 only the branch that is taken then stays. This matters for a graph that
was frozen in training: its other branch updates moving averages, and only the TensorFlow that wrote
the graph could import those updates.
"""

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphcore.copies import copy_of
from graphcore.errors import GraphError, unknown_name
from tfgraph import framework
from tfgraph.graphs.order import full, maker

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_SWITCHES = ("Switch", "RefSwitch")
_MERGES = ("Merge", "RefMerge")
_INT32, _BOOL = 3, 10
"""TensorFlow's numbers for the types."""

_TRAINING = re.compile(r"train|phase|infer|eval|is_?test|testing|dropout", re.IGNORECASE)
"""Names of booleans that say in which mode a graph runs."""


def check_switches(
    graph_def: "GraphDef", inputs: Mapping[str, str], who: str, *, any_rank: bool = True
) -> None:
    """Check that no input that nobody named is a switch for training.

    Args:
        graph_def: a graph.
        inputs: name → placeholder ("is_training:0"), for all inputs that would be offered.
        who: the words for the person who would have to feed it.
        any_rank: whether an input of unknown rank counts as a switch, too.

    Raises:
        GraphError: an input is a switch. The message has the call that fixes its value.
    """
    nodes = {full(node.name): node for node in graph_def.node}
    for name, tensor in inputs.items():
        node = nodes[tensor]
        shape = node.attr["shape"].shape
        unknown = "shape" not in node.attr or shape.unknown_rank
        single = any_rank if unknown else not shape.dim
        if node.attr["dtype"].type == _BOOL and single and _TRAINING.search(node.name):
            raise GraphError(
                f"{name!r} looks like a switch for training, one truth value, which {who} would "
                f"have to feed. Give it its value, fixed={{{name!r}: False}}, or say that it is an "
                f"input: inputs={dict(inputs)}."
            )


def with_values(graph_def: "GraphDef", values: Mapping[str, Any]) -> "GraphDef":
    """Return the graph with constants in place of placeholders.

    Args:
        graph_def: any graph. It is not changed.
        values: placeholder ("keep_prob", or "keep_prob:0") → value.

    Raises:
        UnknownName: a placeholder does not exist. The error suggests the closest names.
        GraphError: a value does not fit the placeholder.
    """
    known = {full(name): value for name, value in values.items()}
    open_ = {full(node.name) for node in graph_def.node if node.op.startswith("Placeholder")}
    for name in known:
        if name not in open_:
            raise unknown_name("placeholder", name, open_)
    switches = {name: bool(value) for name, value in known.items() if np.ndim(value) == 0}
    result = copy_of(decided(graph_def, switches))
    for node in result.node:
        if full(node.name) in known:
            _fix(node, known[full(node.name)])
    return result


def _fix(node: "NodeDef", value: Any) -> None:
    """Turn a placeholder into a constant, in place."""
    tf = framework.tensorflow()
    array = np.asarray(value).astype(tf.as_dtype(node.attr["dtype"].type).as_numpy_dtype)
    shape = tf.TensorShape(node.attr["shape"].shape if "shape" in node.attr else None)
    if not shape.is_compatible_with(array.shape):
        raise GraphError(f"{node.name!r} takes the shape {shape}, but {value!r} was given.")
    node.op = "Const"
    del node.input[:]
    node.attr.pop("shape", None)
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))


def decided(graph_def: "GraphDef", known: Mapping[str, bool]) -> "GraphDef":
    """Return the graph without the branches that are not taken.

    Args:
        graph_def: any graph. It is not changed.
        known: tensor ("phase:0") → value of switches.
    """
    nodes = {node.name: node for node in graph_def.node}
    taken = {n.name: _value(n.input[1], nodes, known) for n in nodes.values() if n.op in _SWITCHES}
    taken = {name: value for name, value in taken.items() if value is not None}
    if not taken:
        return graph_def
    dead = _dead(nodes, {f"{name}:{int(not value)}" for name, value in taken.items()})
    alive = {n.name: _alive(n, dead) for n in nodes.values() if n.name not in dead}
    merged = {name for name, kept in alive.items() if nodes[name].op in _MERGES and len(kept) == 1}
    renamed = {f"{name}:1": name for name in taken} | {f"{n}:1": _index_name(n) for n in merged}
    result = type(graph_def)(versions=graph_def.versions)
    result.library.CopyFrom(graph_def.library)
    for name, sources in alive.items():
        new = result.node.add()
        new.CopyFrom(nodes[name])
        new.input[:] = [renamed.get(each, each) for each in sources]
        if name in taken or name in merged:
            del new.input[1:]
            _pass_on(new)
        if name in merged:
            _add_index(result, name, list(nodes[name].input).index(sources[0]))
    return result


def _value(
    reference: str, nodes: Mapping[str, "NodeDef"], known: Mapping[str, bool]
) -> bool | None:
    """Return the value of a switch, found through the ops that pass it on."""
    turned = False
    seen: set[str] = set()
    while reference not in seen:
        seen.add(reference)
        if (tensor := full(reference)) in known:
            return known[tensor] != turned
        node = nodes.get(maker(reference))
        if node is None:
            return None
        if node.op == "Const":
            from tensorflow import make_ndarray

            return bool(make_ndarray(node.attr["value"].tensor)) != turned
        if node.op not in ("Identity", "LogicalNot"):
            return None
        turned ^= node.op == "LogicalNot"
        reference = node.input[0]
    return None


def _dead(nodes: Mapping[str, "NodeDef"], tensors: set[str]) -> set[str]:
    """Return the nodes that never get a value, and the tensors that never do."""
    readers: dict[str, list[str]] = {}
    for node in nodes.values():
        for source in node.input:
            readers.setdefault(maker(source), []).append(node.name)
    dead = set(tensors)
    waiting = [reader for tensor in tensors for reader in readers.get(maker(tensor), ())]
    while waiting:
        node = nodes[waiting.pop()]
        gone = [source for source in node.input if _is_dead(source, dead)]
        every = len(gone) == len(node.input)
        if node.name not in dead and gone and (every or node.op not in _MERGES):
            dead.add(node.name)
            waiting += readers.get(node.name, ())
    return dead


def _is_dead(reference: str, dead: Collection[str]) -> bool:
    return maker(reference) in dead or full(reference) in dead


def _alive(node: "NodeDef", dead: Collection[str]) -> list[str]:
    """Return the inputs of a node that get a value."""
    return [source for source in node.input if not _is_dead(source, dead)]


def _pass_on(node: "NodeDef") -> None:
    kind = node.attr["T"].type
    node.op = "Identity"
    node.attr.clear()
    node.attr["T"].type = kind


def _index_name(merge: str) -> str:
    return f"{merge}/value_index"


def _add_index(result: "GraphDef", merge: str, place: int) -> None:
    """Add the index of the input that a Merge passes on, which is the Merge's second output."""
    node = result.node.add(name=_index_name(merge), op="Const")
    node.attr["dtype"].type = _INT32
    tensor = node.attr["value"].tensor
    tensor.dtype = _INT32
    tensor.tensor_shape.SetInParent()
    tensor.int_val.append(place)
