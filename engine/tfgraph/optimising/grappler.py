"""Grappler, TensorFlow's graph optimiser, in a separate process, so that a crash ends only that.

oneDNN is off in that process, so a graph's bytes do not depend on the processor. It also computes
the comparisons that need TensorFlow without oneDNN. Before any other comparison the first such
process is shut down, because its memory is needed.
"""

import subprocess
from collections.abc import Iterable
from typing import TYPE_CHECKING

from graphcore.errors import ConversionError
from graphcore.worker_process import Ended, Failed
from tfgraph.graphs.order import maker
from tfgraph.native import native

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

TIMEOUT = 600.0
"""Seconds after which Grappler counts as hanging."""

_DEVICE = "/job:localhost/replica:0/task:0/device:CPU:0"

worker = native.Worker(onednn=False)


def start() -> subprocess.Popen:
    """Start the process if it is not running. It starts up while other work is done."""
    return worker.start()


def shut_down() -> None:
    """Shut the first worker down to free its memory, which the conversion of a single model needs.

    Later workers stay, so that many conversions wait only once for a new one.
    """
    if worker.started == 1:
        worker.end()


def run(
    graph_def: "GraphDef",
    outputs: Iterable[str],
    passes: Iterable[str],
    *,
    timeout: float | None = None,
) -> "GraphDef":
    """Return the graph after some of Grappler's passes, which keep `outputs` ("digit:0").

    Raises:
        ConversionError: Grappler crashed, failed or hung.
    """
    from tensorflow.core.framework import graph_pb2

    request = "optimise", _config(passes), _meta_graph(graph_def, outputs)
    try:
        content = worker.ask(request, timeout=TIMEOUT if timeout is None else timeout)
    except Failed as error:
        said = str(error).strip().rstrip(".")
        raise ConversionError(_sentence(f"failed; it said: {said}")) from None
    except Ended as end:
        raise ConversionError(_sentence(str(end))) from None
    return graph_pb2.GraphDef.FromString(content)


def _sentence(what: str) -> str:
    return (
        f"TensorFlow's graph optimiser {what}. It ran in a process of its own, and nothing was "
        "written. Cut the model in two to find what it stumbles over: with onnxgraph.cut, or with "
        "inputs= and outputs= of tf2onnx."
    )


def _config(passes: Iterable[str]) -> bytes:
    from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

    config = config_pb2.ConfigProto()
    rewriter = config.graph_options.rewrite_options
    rewriter.optimizers.extend(passes)
    rewriter.layout_optimizer = rewriter_config_pb2.RewriterConfig.AGGRESSIVE
    rewriter.cpu_layout_conversion = rewriter_config_pb2.RewriterConfig.NCHW_TO_NHWC
    rewriter.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    rewriter.min_graph_nodes = -1
    rewriter.fail_on_optimizer_errors = True
    return config.SerializeToString()


def _meta_graph(graph_def: "GraphDef", outputs: Iterable[str]) -> bytes:
    from tensorflow.core.protobuf import meta_graph_pb2

    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.graph_def.CopyFrom(graph_def)
    for node in meta_graph.graph_def.node:
        node.device = _DEVICE  # the layout optimiser skips nodes without a device
    kept = meta_graph.collection_def["train_op"].node_list.value
    kept.extend(maker(tensor) for tensor in outputs)
    return meta_graph.SerializeToString()
