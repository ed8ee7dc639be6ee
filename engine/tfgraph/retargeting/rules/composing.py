"""Write a rule with TensorFlow's own functions: the nodes that they add replace the node."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tfgraph import framework
from tfgraph.graphs.shapes import Shapes

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_OLDER = {"AddV2": "Add"}
"""Ops that TensorFlow's operators add → their older names, which mean the same for numbers."""


def composed(
    node: "NodeDef", shapes: Shapes, dtypes: Sequence[int], function: Callable[..., Any]
) -> list["NodeDef"]:
    """Return the nodes that `function` makes of the node's inputs, the last under the node's name.

    `dtypes` are the inputs' types. The function must only use ops that the oldest target knows.
    """
    tf = framework.tensorflow()
    graph = tf.Graph()
    with graph.as_default():
        sources = [
            tf.compat.v1.placeholder(tf.as_dtype(dtype), shapes.of(source), name=f"source_{index}")
            for index, (source, dtype) in enumerate(zip(node.input, dtypes, strict=False))
        ]
        result = tf.identity(function(*sources))
    names = {each.op.name: node.input[index] for index, each in enumerate(sources)}
    nodes = []
    for made in graph.as_graph_def().node:
        if made.name in names:
            continue
        name = node.name if made.name == result.op.name else f"{node.name}/{made.name}"
        nodes.append(type(node)(name=name, op=_OLDER.get(made.op, made.op)))
        for key, value in made.attr.items():
            nodes[-1].attr[key].CopyFrom(value)
        for reference in made.input:
            source, colon, port = reference.partition(":")
            nodes[-1].input.append(names.get(source, f"{node.name}/{source}") + colon + port)
    return nodes
