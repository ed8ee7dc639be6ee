"""The weights of a SavedModel as variables, in files of their own: the form for more than 2 GB.

A frozen graph is one protobuf message, and those end at 2 GB.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nbhelpers.convert import compat
from nbhelpers.convert.graphs.frozen import FrozenGraph

if TYPE_CHECKING:
    from tensorflow.core.protobuf import meta_graph_pb2

SHARD = 2**29
"""Bytes of weights that are written at a time; a larger weight is written alone."""


def meta_graph(graph: FrozenGraph) -> "meta_graph_pb2.MetaGraphDef":
    """Return the graph with a variable for each weight, and with what it takes to restore them."""
    tf = compat.tensorflow()
    body = type(graph.hollow)(versions=graph.hollow.versions)
    body.node.extend(node for node in graph.hollow.node if node.name not in graph.weights)
    with tf.Graph().as_default():
        variables = [
            tf.compat.v1.get_variable(
                name, value.shape, tf.as_dtype(value.dtype), tf.zeros_initializer()
            )
            for name, value in graph.weights.items()
        ]
        reads = {f"{v.op.name}:0": v.read_value() for v in variables}
        tf.import_graph_def(body, input_map=reads, name="")
        saver = tf.compat.v1.train.Saver(variables, sharded=True)
        return tf.compat.v1.train.export_meta_graph(
            saver_def=saver.as_saver_def(), clear_devices=True
        )


def write_checkpoint(weights: Mapping[str, np.ndarray], prefix: Path) -> None:
    """Write the weights as `prefix.index` and `prefix.data-…`, some at a time."""
    tf = compat.tensorflow()
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
