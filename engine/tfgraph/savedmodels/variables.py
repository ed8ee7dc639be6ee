"""Weights of a SavedModel as variables, in files of their own.

TensorFlow 2 copies constants many times while it loads a SavedModel. VGG-16 (553 MB) gives its
first answer after 70 s and 11 GB with constants, but after 1 s and 1.2 GB with variables. However,
a convolution keeps its filter in oneDNN's own order only if the filter is a constant, and is a
quarter slower otherwise (ResNet-50, one picture). A matrix product is equally fast either way. With
VGG-16's matrices as variables and its filters as constants, it takes 5 s and 2.2 GB, and no call is
slower.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphcore.copies import copy_of
from tfgraph import framework
from tfgraph.graphs.frozen import FrozenGraph, consumers, filled
from tfgraph.optables import table

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.protobuf import meta_graph_pb2

LEAST = 2**26
"""Bytes above which weights that are equally fast as variables become variables."""

SHARD = 2**29
"""Bytes of weights that are written at a time. A larger weight is written alone."""

_AS_FAST = {("MatMul", 0), ("MatMul", 1), ("BatchMatMulV2", 1), ("GatherV2", 0)}
"""Ops, with the position of the input, that are as fast with a variable as with a constant."""


def apart(graph: FrozenGraph, served: Collection[str]) -> tuple[FrozenGraph, dict[str, np.ndarray]]:
    """Return the graph, and the weights that become variables, by node.

    A matrix that every product transposes is stored transposed, as "w/transposed", because MatMul
    is then a twentieth faster (VGG-16, eight pictures).

    Args:
        graph: a frozen graph.
        served: tensors ("y:0") of a signature, which do not change.
    """
    stored = _chosen(graph, served)
    skeleton = copy_of(graph.skeleton)
    readers: dict[str, list[NodeDef]] = {name: [] for name in stored}
    for node in skeleton.node:
        for source in set(node.input) & stored.keys():
            readers[source].append(node)
    for node in skeleton.node:
        products = readers.get(node.name, [])
        if products and all(_transposes(each, node.name) for each in products):
            stored[f"{node.name}/transposed"] = np.ascontiguousarray(stored.pop(node.name).T)
            node.name = f"{node.name}/transposed"
            for each in products:
                each.input[1] = node.name
                each.attr["transpose_b"].b = False
    constants = {name: value for name, value in graph.weights.items() if name not in readers}
    return FrozenGraph(skeleton, constants | stored), dict(sorted(stored.items()))


def _transposes(node: "NodeDef", weight: str) -> bool:
    """Whether a node that reads a weight is a product that transposes it."""
    return node.op == "MatMul" and node.input[0] != weight and node.attr["transpose_b"].b


def _chosen(graph: FrozenGraph, served: Collection[str]) -> dict[str, np.ndarray]:
    """Return the weights that become variables, by node: all of them if no message can hold them.

    A graph for releases older than TensorFlow 2 keeps its constants. So does a tensor in `served`
    ("w:0"), which a client may see, and one with nodes below its name ("w/read"), because a
    variable uses such names itself.
    """
    names = (node.name for node in graph.skeleton.node)
    scopes = {name[: at.start()] for name in names for at in re.finditer("/", name)}
    kept = scopes | {tensor.removesuffix(":0") for tensor in served}
    weights = {name: value for name, value in graph.weights.items() if name not in kept}
    if graph.too_large:
        return weights
    if graph.skeleton.versions.producer <= table("tf1.15").producer:
        return {}
    readers = consumers(graph.skeleton, weights)
    fast = {n: v for n, v in weights.items() if readers[n] and readers[n] <= _AS_FAST}
    return fast if sum(value.nbytes for value in fast.values()) >= LEAST else {}


def meta_graph(
    graph: FrozenGraph, stored: Mapping[str, np.ndarray]
) -> "meta_graph_pb2.MetaGraphDef":
    """Return the graph with variables for the weights in `stored`, and the ops that restore
    them."""
    tf = framework.tensorflow()
    body = type(graph.skeleton)(versions=graph.skeleton.versions, library=graph.skeleton.library)
    body.node.extend(node for node in graph.skeleton.node if node.name not in stored)
    with tf.Graph().as_default():
        variables = [
            tf.compat.v1.get_variable(
                name, value.shape, tf.as_dtype(value.dtype), tf.zeros_initializer()
            )
            for name, value in stored.items()
        ]
        reads = {f"{v.op.name}:0": v.read_value() for v in variables}
        tf.import_graph_def(body, input_map=reads, name="")
        saver = tf.compat.v1.train.Saver(variables, sharded=True)
        exported = tf.compat.v1.train.export_meta_graph(
            saver_def=saver.as_saver_def(), clear_devices=True, strip_default_attrs=True
        )
    constants = {name: v for name, v in graph.weights.items() if name not in stored}
    exported.graph_def.CopyFrom(filled(exported.graph_def, constants))
    return exported


def write_checkpoint(weights: Mapping[str, np.ndarray], prefix: Path) -> None:
    """Write the weights as `prefix.index` and `prefix.data-…`, some at a time."""
    tf = framework.tensorflow()
    parts = []
    for number, names in enumerate(_shards(weights)):
        parts.append(f"{prefix}.part{number}")
        tf.raw_ops.SaveV2(
            prefix=parts[-1],
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(weights[name]) for name in names],
        )
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=parts, destination_prefix=str(prefix), delete_old_dirs=False
    )


def _shards(weights: Mapping[str, np.ndarray]) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, value in weights.items():
        if names and size + value.nbytes > SHARD:
            yield names
            names, size = [], 0
        names.append(name)
        size += value.nbytes
    if names:
        yield names
