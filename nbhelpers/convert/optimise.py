"""Make the graph fast before it is saved: Grappler folds its constants and moves it to NHWC.

Run offline, once, so that every runtime gets the fast graph, old ones included. The remapper is
left out: its fused ops exist at run time only and cannot be saved.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nbhelpers.convert import compat
from nbhelpers.convert.graphdef import import_graph, in_order

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

PASSES = ("constfold", "layout", "constfold", "arithmetic", "dependency")

SMALL = 4096
"""Constants of fewer bytes are left for Grappler to fold."""

_TAKE_WEIGHTS = {(op, 1) for op in ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul")}
"""Ops, and the input, that take weights in the layout in which the conversion made them."""

_DEVICE = "/job:localhost/replica:0/task:0/device:CPU:0"


def optimise(graph_def: "GraphDef", outputs: Iterable[str]) -> "GraphDef":
    """Return an equal GraphDef with constants folded and convolutions in NHWC.

    Args:
        graph_def: a frozen graph in NCHW.
        outputs: names of the tensors that must survive ("digit:0").
    """
    small, weights = _without_weights(graph_def)
    optimised = _grappler(small, outputs, PASSES)
    for node in optimised.node:
        node.device = ""
        for private in [name for name in node.attr if name.startswith("_")]:
            del node.attr[private]
        if node.name in weights:
            node.CopyFrom(weights[node.name])
    return in_order(optimised)


def inline(graph_def: "GraphDef") -> "GraphDef":
    """Return the graph with every function call replaced by the function's own nodes."""
    called = {
        source.partition(":")[0].lstrip("^") for node in graph_def.node for source in node.input
    }
    last = [node.name for node in graph_def.node if node.name not in called and node.op != "NoOp"]
    return _grappler(graph_def, last, ("function",))


def _grappler(graph_def: "GraphDef", outputs: Iterable[str], passes: Iterable[str]) -> "GraphDef":
    """Run some of Grappler's passes over a graph, keeping `outputs`."""
    tf = compat.tensorflow()
    from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
    from tensorflow.python.grappler import tf_optimizer

    graph = import_graph(graph_def)
    with graph.as_default():  # a meta graph is exported whole only inside its own graph
        for tensor in outputs:
            graph.add_to_collection(
                "train_op", graph.get_operation_by_name(tensor.partition(":")[0])
            )
        meta_graph = tf.compat.v1.train.export_meta_graph(graph=graph)
    for node in meta_graph.graph_def.node:
        node.device = _DEVICE  # the layout optimiser skips nodes that are placed nowhere
    config = config_pb2.ConfigProto()
    rewriter = config.graph_options.rewrite_options
    rewriter.optimizers.extend(passes)
    rewriter.layout_optimizer = rewriter_config_pb2.RewriterConfig.AGGRESSIVE
    rewriter.cpu_layout_conversion = rewriter_config_pb2.RewriterConfig.NCHW_TO_NHWC
    rewriter.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    rewriter.min_graph_nodes = -1
    rewriter.fail_on_optimizer_errors = True
    return tf_optimizer.OptimizeGraph(config, meta_graph)


def _without_weights(graph_def: "GraphDef") -> tuple["GraphDef", dict[str, "NodeDef"]]:
    """Return the graph with its weights as placeholders, and the weights by name.

    Nothing is left to fold in a weight that a convolution or a product takes as it is; without them
    Grappler's work no longer grows with the megabytes, and neither does its memory.
    """
    from tensorflow.core.framework import graph_pb2

    consumers: dict[str, set[tuple[str, int]]] = {}
    for node in graph_def.node:
        for index, source in enumerate(node.input):
            consumers.setdefault(source.partition(":")[0], set()).add((node.op, index))
    small = graph_pb2.GraphDef(versions=graph_def.versions)
    weights: dict[str, NodeDef] = {}
    for node in graph_def.node:
        taken_whole = consumers.get(node.name, {("", 0)}) <= _TAKE_WEIGHTS
        if node.op != "Const" or not taken_whole or _content(node) < SMALL:
            small.node.add().CopyFrom(node)
            continue
        weights[node.name] = node
        placeholder = small.node.add(name=node.name, op="Placeholder")
        placeholder.attr["dtype"].CopyFrom(node.attr["dtype"])
        placeholder.attr["shape"].shape.CopyFrom(node.attr["value"].tensor.tensor_shape)
    return small, weights


def _content(node: "NodeDef") -> int:
    """Return the size in bytes of a constant's value."""
    return len(node.attr["value"].tensor.tensor_content)
