"""Branches of TensorFlow 1 whose switch has a known value: only the one that is taken stays.

A graph that was frozen in training holds updates of its averages in the other branch, which nothing
but the TensorFlow that wrote it could import.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from nbhelpers.convert.graphs.order import full, maker

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_SWITCHES = ("Switch", "RefSwitch")
_MERGES = ("Merge", "RefMerge")
_INT32 = 3
"""TensorFlow's number of the type."""


def decided(graph_def: "GraphDef", known: Mapping[str, bool]) -> "GraphDef":
    """Return the graph without the branches that are not taken.

    Args:
        graph_def: any graph; it stays as it is.
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
    """Return the value of a switch, looked up behind what passes it on."""
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
    """Return the nodes that never get a value, and the tensors that they would make."""
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
    """Add the number of the input that a Merge passes on, which is its second output."""
    node = result.node.add(name=_index_name(merge), op="Const")
    node.attr["dtype"].type = _INT32
    tensor = node.attr["value"].tensor
    tensor.dtype = _INT32
    tensor.tensor_shape.SetInParent()
    tensor.int_val.append(place)
