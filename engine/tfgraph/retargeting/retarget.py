"""Rewrite a graph for an older TensorFlow, or refuse.

The op tables of the real runtimes decide. An attribute that the target does not know is dropped if
it has its default, because this is the old behaviour. An op that the target does not know is
rewritten into older ops that compute the same (`rules`). So is an op that the target knows but that
not every CPU can compute together with its neighbours. All nodes that no rule rewrites are
refused together.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from graphcore.copies import copy_of
from graphcore.enumeration import listed
from graphcore.errors import ConversionError
from graphcore.targets import Target
from tfgraph import optables
from tfgraph.graphs.frozen import FrozenGraph, computed_from_constants, needed, split_weights
from tfgraph.graphs.node_defs import defaults, with_defaults
from tfgraph.graphs.order import in_loops, maker
from tfgraph.names.onnx_names import renamed
from tfgraph.optables import OpTable
from tfgraph.retargeting.rules import RULES, UNFUSED, UNTIL, Shapes, unsupported_forms

if TYPE_CHECKING:
    from tensorflow.core.framework.attr_value_pb2 import AttrValue
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_STRING = 7
"""The number of the string type in TensorFlow's `DataType`."""


_COMPOSED = "_UnaryOpsComposition"
"""The optimiser's op for a row of other ops, which become nodes of the graph again."""


@dataclass(frozen=True)
class Rewrite:
    """What was done to the nodes of one op, why, and to how many."""

    op: str
    change: str
    reason: str
    nodes: int


@dataclass(frozen=True)
class Retargeted:
    """A graph that the target's op table allows, and what was rewritten for it."""

    target: str
    graph: FrozenGraph = field(repr=False)
    rewrites: tuple[Rewrite, ...]

    @property
    def graph_def(self) -> "GraphDef":
        """The graph with its weights as constants."""
        return self.graph.graph_def


def retarget(
    graph: "FrozenGraph | GraphDef",
    target: str,
    *,
    onnx_names: Mapping[str, str] | None = None,
    outputs: Collection[str] = (),
) -> Retargeted:
    """Return an equal graph that `target` can load.

    Args:
        graph: a frozen graph.
        target: "tf1.4", "tf1.13", "tf1.15" or "tf2".
        onnx_names: TensorFlow node or scope → ONNX node, so that a refusal can name the ONNX node.
        outputs: the graph's outputs ("y:0"). If they are given, nodes that none of them needs are
            removed.

    Raises:
        ConversionError: the target cannot express some nodes. The error names each one and the
            first version that can.
    """
    from tensorflow.core.framework import graph_pb2

    graph = split_weights(graph)
    table = optables.table(target)
    result = graph_pb2.GraphDef()
    done: dict[tuple[str, str, str], int] = {}
    problems = []
    for node, written, notes, problem in _each(graph, table, Shapes(graph)):
        if problem:
            problems.append(f"{origin(node.name, onnx_names)}: {problem}")
        for note in notes:
            done[(node.op, *note)] = done.get((node.op, *note), 0) + 1
        result.node.extend(written)
    if problems:
        raise ConversionError(
            f"{'1 node' if len(problems) == 1 else f'{len(problems)} nodes'} cannot be written for "
            f"{target} (TensorFlow {table.version}): {listed(problems, most=8, separator='; ')}."
        )
    result.versions.producer = min(
        table.producer, graph.skeleton.versions.producer or table.producer
    )
    rewrites = tuple(Rewrite(*key, nodes=count) for key, count in sorted(done.items()))
    fitted = FrozenGraph(result, graph.weights)
    return Retargeted(target, needed(fitted, outputs) if outputs else fitted, rewrites)


def unwritable(graph: FrozenGraph, target: str) -> dict[str, str]:
    """Return TensorFlow node → what the target does not know about it, for all such nodes.

    Nodes that are computed from constants alone are left out, because the optimiser replaces them.
    """
    table, shapes = optables.table(target), Shapes(graph)
    if not table.target.is_legacy and not unsupported_forms.found(graph, shapes, table.forms):
        return {}  # the TensorFlow that built the graph knows all its ops
    foldable = computed_from_constants(graph.skeleton, graph.weights)
    return {
        node.name: problem
        for node, _, _, problem in _each(graph, table, shapes)
        if problem and node.name not in foldable
    }


Written: TypeAlias = "tuple[NodeDef, list[NodeDef], list[tuple[str, str]], str | None]"
"""A node, the nodes that replace it for the target, notes on what was done, and a problem."""


def _each(graph: FrozenGraph, table: OpTable, shapes: Shapes) -> Iterator[Written]:
    looping = in_loops(graph.skeleton)
    taken = {node.name for node in graph.skeleton.node}
    beyond = _beyond(graph, shapes, table)
    for node in graph.skeleton.node:
        if node.name in graph.weights:
            yield node, [node], [], _problem(_constant_like(node), table)
            continue
        full = with_defaults(node)
        if full.op == "Const" and table.target.is_legacy:
            _spell_out(full)
        replacement, notes = _fit(full, table, shapes, beyond.get(node.name))
        _keep_apart(replacement, node.name, taken)
        if node.name in looping:
            _bind(replacement, node)
        problem = next(filter(None, (_problem(new, table) for new in replacement)), None)
        if node.name in beyond and [new.op for new in replacement] == [node.op]:
            problem = problem or beyond[node.name]
        yield node, replacement, notes, problem


def _beyond(graph: FrozenGraph, shapes: Shapes, table: OpTable) -> dict[str, str]:
    """Return the node to rewrite → what not every CPU can compute there."""
    found = {}
    for place in unsupported_forms.found(graph, shapes, table.forms):
        node = next((each for each in place.nodes[1:] if each.op in UNFUSED), place.nodes[0])
        found[node.name] = f"not every CPU computes {place.form} there"
    return found


def _constant_like(placeholder: "NodeDef") -> "NodeDef":
    node = type(placeholder)(name=placeholder.name, op="Const")
    node.attr["dtype"].CopyFrom(placeholder.attr["dtype"])
    return node


def _fit(
    node: "NodeDef", table: OpTable, shapes: Shapes, beyond: str | None
) -> tuple[list["NodeDef"], list[tuple[str, str]]]:
    """Return the nodes that replace `node` for the target, and (change, reason) for each step.

    `beyond` says what not every CPU can compute there, or is None.
    """
    notes = []
    nodes = [node]
    rule = (beyond and UNFUSED.get(node.op)) or RULES.get(node.op)
    if rule and (beyond or not _known(node, table) or _limited(node.op, table.target)):
        rewritten = rule(node, shapes)
        if rewritten is not None:
            nodes = [with_defaults(new) for new in rewritten]
            if node.op == _COMPOSED:
                nodes = [each for new in nodes for each in _fit(new, table, shapes, None)[0]]
            words = " + ".join(new.op for new in nodes if new.op != "Const")
            since = optables.first_with(node.op) or "a later TensorFlow"
            why = f"{table.target} does not know it as it is; {since} does"
            if beyond:
                why = beyond
            elif _known(node, table):
                why = f"{table.target} knows it, but not for every shape, or not from a file"
            notes.append((f"→ {words}", why))
    for new in nodes:
        _drop_private(new)
        dropped = _drop_new_defaults(new, table)
        if dropped and table.target.is_legacy:
            reason = (
                f"unknown to {table.target}; the value was the default, which is the old behaviour"
            )
            notes.append((f"without {', '.join(dropped)}", reason))
    return nodes, notes


def _limited(op: str, target: Target) -> bool:
    """Whether the target knows the op, but not for every shape."""
    return op in UNTIL and UNTIL[op] in target.and_newer()


def _spell_out(node: "NodeDef") -> None:
    """Spell out a constant, because TensorFlow 1.4 does not repeat the last of several values.

    The optimiser writes no value at all for zeros, and leaves out equal values at the end.
    """
    from tensorflow.python.framework import tensor_util

    tensor = node.attr["value"].tensor
    fields = [found for found, _ in tensor.ListFields() if found.name.endswith("_val")]
    written = len(getattr(tensor, fields[0].name)) if fields else 0
    if tensor.tensor_content or written == 1 or node.attr["dtype"].type == _STRING:
        return
    value = tensor_util.MakeNdarray(tensor)
    if value.size > 1 and not any(value.tobytes()):
        shape = copy_of(tensor.tensor_shape)
        tensor.CopyFrom(tensor_util.make_tensor_proto(value.flat[0], dtype=tensor.dtype))
        tensor.tensor_shape.CopyFrom(shape)
    elif value.size:
        tensor.CopyFrom(tensor_util.make_tensor_proto(value, dtype=tensor.dtype))


def _keep_apart(nodes: list["NodeDef"], name: str, taken: set[str]) -> None:
    """Number the nodes that a rule adds below `name` where the graph already has such a name."""
    new_names = {}
    for node in nodes:
        if node.name == name:
            continue
        free = next(each for each in _numbered(node.name) if each not in taken)
        taken.add(free)
        if free != node.name:
            new_names[node.name] = free
            node.name = free
    for node in nodes if new_names else []:
        node.input[:] = [renamed(source, new_names) for source in node.input]


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in itertools.count(1))


def _bind(nodes: list["NodeDef"], replaced: "NodeDef") -> None:
    """Run new constants inside a loop in each of its iterations, with the node that they serve."""
    for new in nodes:
        if new.op == "Const" and not new.input:
            new.input.append("^" + maker(replaced.input[0]))


def _known(node: "NodeDef", table: OpTable) -> bool:
    """Whether the target knows the op with these attribute values. New defaults do not count."""
    copy = copy_of(node)
    _drop_new_defaults(copy, table)
    return _problem(copy, table) is None


def _drop_new_defaults(node: "NodeDef", table: OpTable) -> list[str]:
    """Remove attributes at their default that the target does not know (tf2: all defaults)."""
    allowed = table.ops.get(node.op)
    usual = defaults(node.op)
    dropped = []
    for name in sorted(node.attr):
        spare = allowed is not None and (name not in allowed or not table.target.is_legacy)
        if spare and name in usual and node.attr[name] == usual[name]:
            del node.attr[name]
            dropped.append(name)
    return dropped


def _problem(node: "NodeDef", table: OpTable) -> str | None:
    """Return what the target does not know about a node, in words, or None."""
    allowed = table.ops.get(node.op)
    if allowed is None:
        since = optables.first_with(node.op)
        return f"op {node.op} is unknown before {since}" if since else f"op {node.op} is unknown"
    for name, value in sorted(node.attr.items()):
        if name.startswith("_"):
            continue
        if _allowed_word(value) in table.target.missing_types:
            return f"{table.target} has no {_allowed_word(value)}, which {node.op} needs"
        if name not in allowed:
            return f"{node.op} has no attribute {name} there, and here it is {_words(value)}"
        seen = _allowed_word(value)
        values = allowed[name]
        if values is not None and seen is not None and seen not in values:
            return f"{node.op} does not take {name} = {seen} there"
        if seen in table.no_kernel.get(node.op, {}).get(name, ()):
            return f"{node.op} cannot be run there with {name} = {seen}"
    return None


def _drop_private(node: "NodeDef") -> None:
    """Remove the attributes that only this process uses."""
    for name in [name for name in node.attr if name.startswith("_")]:
        del node.attr[name]


def _allowed_word(value: "AttrValue") -> str | None:
    from tensorflow.core.framework import types_pb2

    kind = value.WhichOneof("value")
    if kind == "type":
        return types_pb2.DataType.Name(value.type)
    return value.s.decode("utf-8", "replace") if kind == "s" else None


def _words(value: "AttrValue") -> str:
    return " ".join(str(value).split())


def origin(name: str, onnx_names: Mapping[str, str] | None) -> str:
    """Return the ONNX name of a node or of the nearest scope around it."""
    scope = name
    while onnx_names and scope:
        if scope in onnx_names:
            return onnx_names[scope]
        scope = scope.rpartition("/")[0]
    return name
