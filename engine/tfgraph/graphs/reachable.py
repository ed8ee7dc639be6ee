"""Which nodes of a graph compute something, including those of the functions that they call."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from tfgraph.graphs.order import full, maker

if TYPE_CHECKING:
    from tensorflow.core.framework.function_pb2 import FunctionDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef


def reached(
    nodes: Mapping[str, "NodeDef"], ends: Iterable[str], given: Collection[str] = ()
) -> Iterator["NodeDef"]:
    """Yield the nodes that compute the ends, up to the tensors that are given."""
    waiting = [full(tensor) for tensor in ends]
    # A node that waits for a fed placeholder waits for the feed.
    makers = map(maker, given)
    seen = {*given, *(name for name in makers if name in nodes and nodes[name].op == "Placeholder")}
    while waiting:
        tensor = waiting.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        node = nodes.get(maker(tensor))
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        yield node
        waiting += map(full, node.input)


def called(node: "NodeDef", functions: Mapping[str, "FunctionDef"]) -> Iterator["NodeDef"]:
    """Yield the nodes of the functions that a node calls, and of those that they call."""
    waiting, seen = list(callees(node, functions)), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for inner in functions[name].node_def:
            yield inner
            waiting += callees(inner, functions)


def callees(node: "NodeDef", known: Collection[str]) -> Iterator[str]:
    """Yield the names of the functions that a node itself calls."""
    if node.op in known:
        yield node.op
    for value in node.attr.values() if known else ():
        names = [value.func.name, *(each.name for each in value.list.func)]
        yield from (name for name in names if name in known)
