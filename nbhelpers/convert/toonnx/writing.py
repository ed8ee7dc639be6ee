"""tf2onnx at work, quietly: graph in, ONNX model out, and what it said of what it cannot do."""

import contextlib
import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from nbhelpers.convert import compat
from nbhelpers.convert.optimising import grappler
from nbhelpers.convert.toonnx.dropout import without_dropout
from nbhelpers.convert.toonnx.interface import PREFIX, Interface
from nbhelpers.convert.toonnx.older_terms import in_older_terms
from nbhelpers.errors import ConversionError, first_line
from nbhelpers.onnxgraph.anatomy import graphs

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

PASSES = ("constfold", "function", "loop", "constfold", "dependency")
"""What tf2onnx wants done before it looks at a graph; "loop" drops what is never taken."""

NUMBERS = re.compile(r"__\d+")
"""What tf2onnx puts behind the names that it makes up."""

NAMED = 10
"""How many nodes a message names."""

CONTROL = {
    *("Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond", "RefSwitch", "RefMerge"),
    *("If", "StatelessIf", "While", "StatelessWhile", "Case", "StatelessCase"),
}

OPSETS = range(9, 19)
"""What tf2onnx 1.17 writes."""


def written(interface: Interface, opset: int) -> onnx.ModelProto:
    """Return the ONNX model of a graph; its tensors have TensorFlow's names, or made-up ones.

    Raises:
        ConversionError: tf2onnx lacks some ops, all of which are named, or fails.
    """
    from tf2onnx import optimizer, tfonnx  # noqa: F401 (its loggers are there only then)

    ready = _simplified(interface, opset)
    with _listening() as failures:
        try:
            model = _converted(ready, interface, opset)
        except Exception as error:
            said = first_line(error)
            raise ConversionError(
                f"tf2onnx failed on the graph: {said}. {_hint({n.op for n in ready.node}, opset)} "
                "Nothing was written."
            ) from error
    _check_written(model, failures, ready)
    return model


def _simplified(interface: Interface, opset: int) -> "GraphDef":
    ready = grappler.run(interface.graph_def, interface.outputs.values(), PASSES)
    for node in ready.node:
        node.device = ""
    return in_older_terms(without_dropout(ready), _known(opset))


def _converted(graph_def: "GraphDef", interface: Interface, opset: int) -> onnx.ModelProto:
    tf = compat.tensorflow()
    from tf2onnx import optimizer, tfonnx, utils

    utils.INTERNAL_NAME = 1  # it numbers the names that it makes up, on and on
    here = {node.name for node in graph_def.node}
    with compat.no_garbage_collection(), tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        made = tfonnx.process_tf_graph(
            graph,
            opset=opset,
            continue_on_error=True,  # so that it finds everything that it lacks
            input_names=[t for t in interface.inputs.values() if t.partition(":")[0] in here],
            output_names=[*interface.outputs.values()],
        )
        return optimizer.optimize_graph(made, optimizers=_optimizers()).make_model("")


def _optimizers() -> dict[str, Any]:
    """Return tf2onnx's optimizers, of which one chooses by chance: of equal nodes, which one stays.

    Here it is the first by name, so that the same graph gives the same file.
    """
    from tf2onnx import optimizer
    from tf2onnx.optimizer.merge_duplicated_nodes_optimizer import MergeDuplicatedNodesOptimizer

    class Ordered(MergeDuplicatedNodesOptimizer):
        @staticmethod
        def _group_nodes_by_type_inputs(graph: Any) -> dict[Any, list[Any]]:
            groups = MergeDuplicatedNodesOptimizer._group_nodes_by_type_inputs(graph)
            return {
                key: sorted(nodes, key=lambda node: (NUMBERS.sub("", node.name), node.name))
                for key, nodes in groups.items()
            }

    return {**optimizer._get_optimizers(), "merge_duplication": Ordered}


def _check_written(model: onnx.ModelProto, failures: dict[str, str], graph_def: "GraphDef") -> None:
    """Check that no op of TensorFlow is left; tf2onnx leaves those that it lacks.

    Raises:
        ConversionError: some are; each is named, and why where there is a reason.
    """
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    ops = {node.name: node.op for node in graph_def.node}
    left = [
        node
        for graph in graphs(model.graph)
        for node in graph.node
        if not onnx.defs.has(node.op_type, opsets.get(node.domain, 0), node.domain)
    ]
    stuck = {node.name: ops.get(node.name, node.op_type) for node in left}
    stuck |= {name: ops.get(name, "") for name in failures}
    if not stuck:
        return
    words = [
        f"{plain(name)!r} ({op})" + (f": {failures[name]}" if failures.get(name) else "")
        for name, op in list(stuck.items())[:NAMED]
    ]
    more = f" and {len(stuck) - NAMED} more" if len(stuck) > NAMED else ""
    raise ConversionError(
        f"tf2onnx has no way to write {len(stuck)} nodes at opset {opsets['']}: {', '.join(words)}"
        f"{more}. {_hint(set(stuck.values()), opsets[''])} Nothing was written."
    )


def _hint(ops: set[str], opset: int) -> str:
    """Return what helps with some ops that cannot be written."""
    if any(op.startswith(("Quantize", "Dequantize", "Requantiz")) for op in ops):
        return "The graph is quantised; convert the float graph that it was made from."
    if ops & CONTROL:
        return (
            "They are branches or loops in a form that it does not recognise: give a switch its "
            'value with fixed={"training": False}, or cut the graph with inputs= and outputs=.'
        )
    newer = [version for version in OPSETS if version > opset and ops <= _known(version)]
    if newer:
        return f"opset={newer[0]} has what they need."
    return "Cut the graph with inputs= and outputs=, so that they are left outside."


def _known(opset: int) -> set[str]:
    """Return the TensorFlow ops that tf2onnx has a way to write at an opset."""
    from tf2onnx import handler

    return set(handler.tf_op.create_mapping(opset, None))


def plain(name: str) -> str:
    """Return the name of a node of the source, without what was put before it here."""
    return name.removeprefix(f"{PREFIX}/")


class _Listener(logging.Handler):
    """Keeps which nodes tf2onnx failed on, and why; it logs that, and goes on."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.failures: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith("Failed to convert node") and isinstance(record.args, tuple):
            reason = record.exc_info[1] if record.exc_info else None
            self.failures[str(record.args[0])] = first_line(reason) if reason else ""


@contextlib.contextmanager
def _listening() -> Iterator[dict[str, str]]:
    """Give the failures of tf2onnx by node, while nothing of what it logs is shown.

    Its loggers are called after their modules, or after the files of those.
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
