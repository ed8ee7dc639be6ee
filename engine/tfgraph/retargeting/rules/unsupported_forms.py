"""Find the forms in a graph that some runtime cannot compute.

A form is an op with its features, such as groups, and the ops after it with which the runtime fuses
it. `optables/dump_forms.py` writes the tables of such forms on the runtimes themselves.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfgraph.graphs.frozen import FrozenGraph
from tfgraph.graphs.node_defs import with_defaults
from tfgraph.graphs.shapes import Shapes, groups
from tfgraph.optables.dump_forms import CONVOLUTIONS, FEATURES, words

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_LONGEST = 3
"""How many ops follow the first one, at most."""


@dataclass(frozen=True)
class Found:
    """Consecutive nodes that have a form, and the form in words."""

    nodes: "tuple[NodeDef, ...]"
    form: str


def found(graph: FrozenGraph, shapes: Shapes, forms: Mapping[str, Collection[str]]) -> list[Found]:
    """Return every place of a graph that has a form of the table.

    Args:
        graph: a frozen graph.
        shapes: its shapes.
        forms: form in words → the types for which it cannot be computed.
    """
    from tensorflow.core.framework import types_pb2

    first_ops = {form.partition(",")[0].partition(" with ")[0] for form in forms}
    heads = [with_defaults(node) for node in graph.skeleton.node if node.op in first_ops]
    readers: dict[str, list[NodeDef]] = {}
    for node in graph.skeleton.node if heads else ():
        for source in dict.fromkeys(node.input):
            readers.setdefault(source, []).append(node)

    def places(path: "tuple[NodeDef, ...]", dtype: str) -> Iterator[Found]:
        followers = tuple(node.op for node in path[1:])
        for features in _possible(path[0], shapes, alone=not followers):
            form = words(path[0].op, features, followers)
            if dtype in forms.get(form, ()):
                yield Found(path, form)
                return  # the op will be rewritten, so nothing after it is fused with it
        for reader in readers.get(path[-1].name, ()):
            if len(path) <= _LONGEST and reader.input[0] == path[-1].name:
                yield from places((*path, reader), dtype)

    name = types_pb2.DataType.Name
    return [each for head in heads for each in places((head,), name(head.attr["T"].type))]


def _possible(node: "NodeDef", shapes: Shapes, *, alone: bool) -> list[tuple[str, ...]]:
    """Return every set of features that a node has.

    The number of groups cannot always be inferred. Then a fused op counts as grouped, because
    rewriting it costs nothing there, and an op `alone` does not.
    """
    has: set[str] = set()
    if node.op in CONVOLUTIONS:
        layout = node.attr["data_format"].s.decode()
        places = [place for place, axis in enumerate(layout) if axis in "DHW"]
        strides, dilations = (
            {node.attr[name].list.i[place] for place in places} for name in ("strides", "dilations")
        )
        has |= {"strides"} if len(strides) > 1 else set()
        has |= {"dilations"} if dilations - {1} else set()
        grouped = _grouped(node, shapes)
        has |= {"groups"} if grouped or (grouped is None and not alone) else set()
    return [features for features in FEATURES if has.issuperset(features)]


def _grouped(node: "NodeDef", shapes: Shapes) -> bool | None:
    """Whether a filter takes only some of the channels, or None if that cannot be inferred."""
    if node.op == "DepthwiseConv2dNative":
        filters = shapes.of(node.input[1])
        return None if filters is None else filters[-1] != 1
    count = groups(node, shapes)
    return None if count is None else count != 1
