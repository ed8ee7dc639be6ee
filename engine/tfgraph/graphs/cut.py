"""The part of a GraphDef that some outputs need, cut off at the tensors that will be fed.

So training ops, queues and image decoders before the cut are removed, even those that this
TensorFlow does not know.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from graphcore.enumeration import listed
from graphcore.errors import ConversionError, GraphError, Refusal, unknown_name
from tfgraph import framework
from tfgraph.graphs.frozen import LIMIT
from tfgraph.graphs.graphdef import import_graph
from tfgraph.graphs.order import every_node, full, maker

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.framework.op_def_pb2 import OpDef
    from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto

SHAPES = "_output_shapes"
"""The attribute in which TensorFlow stores the shapes that it inferred when it wrote a graph."""

_NAMED = 10
"""How many nodes a message names."""


def cut(
    graph_def: "GraphDef", feeds: Iterable[str], outputs: Iterable[str]
) -> tuple["GraphDef", dict[str, str]]:
    """Return the part that `outputs` need, with placeholders in place of the tensors that are fed.

    Args:
        graph_def: any graph, with variables or without. It is not changed.
        feeds: tensors that will be fed ("x:0").
        outputs: tensors to keep ("y:0").

    Returns:
        The part, and a mapping from each feed to the tensor that replaces it there.

    Raises:
        UnknownName: a tensor does not exist. The error suggests the closest names.
        ConversionError: the part has ops that this TensorFlow does not know. The error names them
            all.
        GraphError: a node that is needed is missing, or a feed has no known type.
    """
    nodes = {node.name: node for node in graph_def.node}
    fed, wanted = list(dict.fromkeys(feeds)), list(outputs)
    for name in (*fed, *wanted):
        if maker(name) not in nodes:
            raise unknown_name("TensorFlow tensor", name, nodes)
    kept = _reached(nodes, set(fed), wanted)
    part = type(graph_def)(versions=graph_def.versions)
    part.library.CopyFrom(graph_def.library)
    places = {name: _place(name, kept) for name in fed}
    for name, place in places.items():
        _add_placeholder(part, place, name, graph_def)
    for node in graph_def.node:
        if node.name in kept:
            new = part.node.add()
            new.CopyFrom(node)
            new.device = ""
            for noted in ("_class", SHAPES):
                new.attr.pop(noted, None)
            new.input[:] = [_fed(each, places) for each in node.input]
    check_known(part)
    return part, {name: f"{place}:0" for name, place in places.items()}


def check_known(graph_def: "GraphDef") -> None:
    """Check that this TensorFlow knows every op.

    Raises:
        ConversionError: it does not. The error names every such node.
    """
    tf = framework.tensorflow()
    from tensorflow.python.framework import op_def_registry

    functions = {function.signature.name for function in graph_def.library.function}
    strange = [
        node
        for node in every_node(graph_def)
        if node.op not in functions and op_def_registry.get(node.op) is None
    ]
    if strange:
        raise ConversionError(
            f"TensorFlow {tf.__version__} does not know {named(strange)}. Cut the graph behind "
            "them: give tensors as inputs that later nodes make, or choose earlier outputs."
        )


def check_size(title: str, size: int, *, advice: str) -> None:
    """Check that weights of `size` bytes can be constants of a graph.

    Raises:
        GraphError: they cannot.
    """
    if size >= LIMIT:
        raise GraphError(
            f"{title} has {size / 2**30:.1f} GB of weights, and a graph of TensorFlow holds less "
            f"than 2 GB. {advice}"
        )


def named(nodes: Collection["NodeDef"]) -> str:
    """Return the names and ops of the first ten nodes, for a message."""
    return listed((f"{node.name!r} ({node.op})" for node in nodes), most=_NAMED)


def _reached(nodes: dict[str, "NodeDef"], fed: set[str], wanted: list[str]) -> set[str]:
    """Return the nodes on which the wanted tensors depend, up to the fed tensors."""
    reached: set[str] = set()
    waiting = [name for name in wanted if name not in fed]
    while waiting:
        name = maker(waiting.pop())
        if name in reached:
            continue
        if name not in nodes:
            raise GraphError(f"The graph reads {name!r}, which it does not have; it is damaged.")
        reached.add(name)
        waiting += [each for each in nodes[name].input if _tensor(each) not in fed]
    return reached


def _tensor(reference: str) -> str:
    """Return the tensor of a node's input, or for a control input ("^x") the node's first one."""
    return full(reference.removeprefix("^"))


def _fed(reference: str, places: Mapping[str, str]) -> str:
    """Return a node's input, or the placeholder that replaces it, as an input of the same kind."""
    place = places.get(_tensor(reference))
    if place is None:
        return reference
    return f"^{place}" if reference.startswith("^") else place


def _place(tensor: str, kept: set[str]) -> str:
    """Return the name of a placeholder for a tensor: the tensor's own name, if it is free."""
    name, _, number = tensor.rpartition(":")
    place = name if number == "0" else f"{name}_{number}"
    while place in kept:
        place += "_fed"
    return place


def _add_placeholder(part: "GraphDef", place: str, tensor: str, whole: "GraphDef") -> None:
    """Add a placeholder with the type and shape that a tensor has in the whole graph."""
    from tensorflow.python.framework import op_def_registry

    source = next(node for node in whole.node if node.name == maker(tensor))
    number = int(tensor.rpartition(":")[2])
    op_def = op_def_registry.get(source.op)
    types = [] if op_def is None else _output_types(source, op_def)
    if number >= len(types):
        what = "its op is not known" if op_def is None else f"it has {len(types)} outputs"
        raise GraphError(
            f"The graph cannot be cut at {tensor!r} ({source.op}): {what}. Cut it at a "
            "tensor behind that node."
        )
    node = part.node.add(name=place, op="Placeholder")
    node.attr["dtype"].type = types[number]
    if source.op.startswith("Placeholder") and "shape" in source.attr:
        node.attr["shape"].CopyFrom(source.attr["shape"])
    else:
        node.attr["shape"].shape.CopyFrom(_shape(tensor, whole))


def _shape(tensor: str, graph_def: "GraphDef") -> "TensorShapeProto":
    """Return the shape of an inner tensor, or an unknown one if the ops before it are unknown."""
    tf = framework.tensorflow()
    try:
        graph = import_graph(cut(graph_def, [], [tensor])[0])
        return graph.get_tensor_by_name(tensor).shape.as_proto()
    except Refusal:
        return tf.TensorShape(None).as_proto()


def _output_types(node: "NodeDef", op_def: "OpDef") -> list[int]:
    types: list[int] = []
    for output in op_def.output_arg:
        if output.type_list_attr:
            types += node.attr[output.type_list_attr].list.type
            continue
        kind = output.type or node.attr[output.type_attr].type
        count = node.attr[output.number_attr].i if output.number_attr else 1
        types += [kind] * count
    return types
