"""Run a graph from somebody else in a separate process, so that a crash ends only that process.

TensorFlow's kernels trust what is in a graph. For example, a convolution whose weights have no
values divides by zero, which ends the process.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from graphcore.copies import copy_of
from graphcore.errors import GraphError, first_line
from graphcore.worker_process import Ended, Failed
from tfgraph.native import native

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef


def run_apart(
    graph_def: "GraphDef",
    fetches: Iterable[tuple[str, int]],
    fed: Mapping[str, np.ndarray],
    *,
    optimised: bool,
    timeout: float,
) -> list[np.ndarray]:
    """Return the values of tensors, computed as this process would.

    Args:
        graph_def: a graph that this TensorFlow imports. It is not changed.
        fetches: tensors ("y:0"), each with TensorFlow's number of its type.
        fed: tensor → array.
        optimised: whether the session optimises the graph, as default sessions do.
        timeout: seconds after which the run counts as hanging.

    Raises:
        GraphError: the graph failed to run.
    """
    copy = copy_of(graph_def)
    names = _add_ends(copy, fetches)
    no_weights: dict[str, np.ndarray] = {}
    graph = copy.SerializeToString(), names, no_weights, _config(optimised)
    try:
        return _worker().ask(("compute", dict(fed), *graph), timeout=timeout)
    except Failed as error:
        raise GraphError(f"The graph failed to run: {first_line(error)}.") from None
    except Ended as end:
        advice = end.advice(
            "Look for a node that is given sizes of 0, or for a loop without an end"
        )
        raise GraphError(
            f"The graph {end} in TensorFlow, in a process of its own. {advice}."
        ) from None


@functools.cache
def _worker() -> native.Worker:
    return native.Worker(onednn=native.onednn())


def _add_ends(graph_def: "GraphDef", fetches: Iterable[tuple[str, int]]) -> list[str]:
    """Add one more consumer of each tensor, in place, and return these consumers.

    Otherwise TensorFlow's own fusions may remove a fetched tensor.
    """
    taken = {node.name for node in graph_def.node}
    names: list[str] = []
    for tensor, kind in fetches:
        number = len(names)
        while (name := f"fetched_{number}") in taken:
            number += 1
        taken.add(name)
        node = graph_def.node.add(name=name, op="Identity", input=[tensor])
        node.attr["T"].type = kind
        names.append(f"{name}:0")
    return names


def _config(optimised: bool) -> bytes:
    from tensorflow.core.protobuf import config_pb2

    config = config_pb2.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = not optimised
    return config.SerializeToString()
