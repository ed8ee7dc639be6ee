"""Grappler, TensorFlow's graph optimiser, in a process of its own: a crash there ends nothing here.

The process serves until this one ends, and is replaced if it crashes. Only the first of them gives
way to a comparison, which needs its memory.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from nbhelpers.convert.optimising.grappler_worker import read_frame, write_frames
from nbhelpers.errors import ConversionError

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

TIMEOUT = 600.0
"""Seconds after which Grappler is taken to hang."""

_WORKER = Path(__file__).with_name("grappler_worker.py")

_DEVICE = "/job:localhost/replica:0/task:0/device:CPU:0"

_lock = threading.Lock()
_process: tuple[int, subprocess.Popen] | None = None
"""The process that started it, and the worker."""

_started = 0
"""How many workers were started."""


def start() -> subprocess.Popen:
    """Start the process, if it is not there; it comes up while other work is done."""
    global _process, _started
    if _process is None or _process[0] != os.getpid() or _process[1].poll() is not None:
        # -P keeps the folder of the worker, whose modules have common names, off the module path.
        command = [sys.executable, "-P", str(_WORKER)]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere)
        _process, _started = (os.getpid(), worker), _started + 1
        atexit.register(_end, os.getpid(), worker)
    return _process[1]


def rest() -> None:
    """End the first worker: who converts one model needs its memory, and who converts many waits
    only once for another.
    """
    with _lock:
        if _process is not None and _started == 1:
            _end(*_process)


def _end(owner: int, worker: subprocess.Popen) -> None:
    """Let the worker end with the process that started it."""
    if os.getpid() == owner:
        with contextlib.suppress(BrokenPipeError), worker:  # which closes its pipes
            worker.kill()


def run(
    graph_def: "GraphDef",
    outputs: Iterable[str],
    passes: Iterable[str],
    *,
    timeout: float | None = None,
) -> "GraphDef":
    """Return the graph after some of Grappler's passes; `outputs` ("digit:0") survive.

    Raises:
        ConversionError: it crashed, failed or hung.
    """
    from tensorflow.core.framework import graph_pb2

    request = _config(passes), _meta_graph(graph_def, outputs)
    with _lock:
        state, content = _asked(start(), request, TIMEOUT if timeout is None else timeout)
    if state == "ok":
        return graph_pb2.GraphDef.FromString(content)
    said = content.decode(errors="replace").strip().rstrip(".")
    raise ConversionError(_sentence(f"{state}{said and f'; it said: {said}'}"))


def _asked(
    worker: subprocess.Popen, request: tuple[bytes, ...], timeout: float
) -> tuple[str, bytes]:
    """Return what became of a request, in words, and what came back."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    hung = threading.Event()

    def give_up() -> None:
        hung.set()
        worker.kill()

    timer = threading.Timer(timeout, give_up)
    timer.start()
    try:
        write_frames(worker.stdin, *request)
        state, content = read_frame(worker.stdout), read_frame(worker.stdout)
        if state is not None and content is not None:
            return state.decode(), content
        code = worker.wait()
    except BrokenPipeError:  # it went away while it was being written to
        code = worker.wait()
    except BaseException:  # interrupted: its answer would be taken for that to the next request
        worker.kill()
        worker.wait()
        raise
    finally:
        timer.cancel()
    if hung.is_set():
        return f"gave no result in {timeout:g} s", b""
    return f"crashed ({signal.Signals(-code).name if code < 0 else f'status {code}'})", b""


def _sentence(what: str) -> str:
    return (
        f"TensorFlow's graph optimiser {what}. It ran in a process of its own, and nothing was "
        "written; simplify the ONNX model first, or cut it in two to find what it stumbles over."
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
        node.device = _DEVICE  # the layout optimiser skips nodes that are placed nowhere
    kept = meta_graph.collection_def["train_op"].node_list.value
    kept.extend(tensor.partition(":")[0] for tensor in outputs)
    return meta_graph.SerializeToString()
