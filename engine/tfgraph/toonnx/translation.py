"""Run tf2onnx without its output: from a graph to an ONNX model, or to the ops that it lacks."""

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from graphcore.enumeration import listed
from graphcore.errors import ConversionError, first_line
from onnxgraph.model.domains import domain, opsets
from onnxgraph.model.graphs import graphs
from tfgraph import framework
from tfgraph.graphs.order import maker
from tfgraph.optimising import grappler
from tfgraph.retargeting.rules import RULES
from tfgraph.toonnx import handlers
from tfgraph.toonnx.dropout import without_dropout
from tfgraph.toonnx.folding import folded
from tfgraph.toonnx.interface import Interface
from tfgraph.toonnx.name_prefix import plain
from tfgraph.toonnx.older_terms import in_older_terms
from tfgraph.toonnx.passes import optimizers
from tfgraph.toonnx.tables import Table, tables

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

INLINING = ("function", "loop")
"""The passes that run first. "loop" removes branches that are never taken."""

CUT = "Cut the graph with inputs= and outputs=, so that they are left outside."

NAMED = 10
"""How many nodes a message names."""

CONTROL = {
    *("Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond", "RefSwitch", "RefMerge"),
    *("If", "StatelessIf", "While", "StatelessWhile", "Case", "StatelessCase"),
}

OPSETS = range(9, 19)
"""The opsets that tf2onnx 1.17 writes."""


class _Unable(ConversionError):
    """tf2onnx cannot write some ops at an opset."""

    def __init__(self, message: str, ops: set[str]) -> None:
        super().__init__(message)
        self.ops = ops


def translated(interface: Interface, opset: int) -> onnx.ModelProto:
    """Return the ONNX model of a graph. Its tensors have TensorFlow's names, or made-up ones.

    Raises:
        ConversionError: tf2onnx fails, or lacks some ops. The error names all of them.
        GraphError: the graph reads a table whose content it does not hold.
    """
    from tf2onnx import optimizer, tfonnx  # noqa: F401 (its loggers are there only then)

    ends = list(interface.outputs.values())
    ready = folded(grappler.run(interface.graph_def, ends, INLINING), ends)
    for node in ready.node:
        node.device = ""
    ready = without_dropout(ready)
    held = tables(ready)
    try:
        return _translated(ready, held, interface, opset)
    except _Unable as error:
        advice = _hint(error.ops) or _newer(ready, held, interface, opset) or CUT
        raise ConversionError(f"{error} {advice} Nothing was written.") from error


def _translated(
    graph_def: "GraphDef", held: Mapping[str, Table], interface: Interface, opset: int
) -> onnx.ModelProto:
    ready = in_older_terms(graph_def, _known(opset))
    with _listening() as failures:
        try:
            model = _converted(ready, held, interface, opset)
        except Exception as error:
            said = first_line(error)
            ops = {node.op for node in ready.node}
            raise _Unable(f"tf2onnx failed on the graph: {said}.", ops) from error
    _check_translated(model, failures, ready)
    return model


def _newer(
    graph_def: "GraphDef", held: Mapping[str, Table], interface: Interface, opset: int
) -> str:
    """Return the advice to use the first newer opset that can express the whole graph, or ""."""
    if {node.op for node in graph_def.node} - _known(OPSETS[-1]) - set(RULES):
        return ""
    for newer in range(opset + 1, OPSETS.stop):
        with contextlib.suppress(_Unable):
            _translated(graph_def, held, interface, newer)
            return f"opset={newer} has what they need."
    return ""


def _converted(
    graph_def: "GraphDef", held: Mapping[str, Table], interface: Interface, opset: int
) -> onnx.ModelProto:
    tf = framework.tensorflow()
    from tf2onnx import optimizer, tfonnx, utils

    utils.INTERNAL_NAME = 1  # otherwise it numbers made-up names across conversions
    here = {node.name for node in graph_def.node}
    with framework.no_garbage_collection(), tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        made = tfonnx.process_tf_graph(
            graph,
            opset=opset,
            continue_on_error=True,  # so that it reports all ops that it lacks
            input_names=[t for t in interface.inputs.values() if maker(t) in here],
            output_names=[*interface.outputs.values()],
            custom_op_handlers=handlers.own(opset, held),
            extra_opset=[onnx.helper.make_opsetid(handlers.ML, handlers.ML_OPSET)],
        )
        return optimizer.optimize_graph(made, optimizers=optimizers()).make_model("")


def _check_translated(
    model: onnx.ModelProto, failures: dict[str, str], graph_def: "GraphDef"
) -> None:
    """Check that no op of TensorFlow is left, because tf2onnx leaves the ops that it lacks.

    Raises:
        _Unable: some are left. The error names each one, with the reason if tf2onnx gave one.
    """
    versions = opsets(model)
    ops = {node.name: node.op for node in graph_def.node}
    left = [
        node
        for graph in graphs(model.graph)
        for node in graph.node
        if not onnx.defs.has(node.op_type, versions.get(domain(node), 0), domain(node))
    ]
    stuck = {node.name: ops.get(node.name, node.op_type) for node in left}
    stuck |= {name: ops.get(name, "") for name in failures}
    if not stuck:
        return
    words = [
        f"{plain(name)!r} ({op})" + (f": {failures[name]}" if failures.get(name) else "")
        for name, op in stuck.items()
    ]
    raise _Unable(
        f"tf2onnx has no way to write {len(stuck)} nodes at opset {versions['']}: "
        f"{listed(words, most=NAMED)}.",
        set(stuck.values()),
    )


def _hint(ops: set[str]) -> str:
    """Return advice for ops that no opset can express, or ""."""
    if any(op.startswith(("Quantize", "Dequantize", "Requantiz")) for op in ops):
        return "The graph is quantised; convert the float graph that it was made from."
    if ops & CONTROL:
        return (
            "They are branches or loops in a form that it does not recognise: give a switch its "
            'value with fixed={"training": False}, or cut the graph with inputs= and outputs=.'
        )
    return ""


def _known(opset: int) -> set[str]:
    """Return the TensorFlow ops for which a handler exists at an opset, though it may refuse."""
    from tf2onnx import handler

    return {*handler.tf_op.create_mapping(opset, None), *handlers.HANDLERS}


class _Listener(logging.Handler):
    """Records the nodes on which tf2onnx failed, and why, because it only logs that and goes on."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.failures: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith("Failed to convert node") and isinstance(record.args, tuple):
            reason = record.exc_info[1] if record.exc_info else None
            self.failures[str(record.args[0])] = first_line(reason) if reason else ""


@contextlib.contextmanager
def _listening() -> Iterator[dict[str, str]]:
    """Yield the failures of tf2onnx by node, and hide everything that it logs.

    Its loggers have the names of its modules or of their files.
    """
    import tf2onnx

    folder = str(Path(tf2onnx.__file__).parent)
    listener = _Listener()
    names = [
        name for name in logging.root.manager.loggerDict if name.startswith((folder, "tf2onnx"))
    ]
    loggers = [logging.getLogger(name) for name in names]
    before = [(each.propagate, each.level) for each in loggers]
    for each in loggers:
        each.addHandler(listener)
        each.propagate = False
        each.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield listener.failures
    finally:
        for each, (propagate, level) in zip(loggers, before, strict=True):
            each.removeHandler(listener)
            each.propagate = propagate
            each.setLevel(level)
