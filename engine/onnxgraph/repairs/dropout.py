"""Remove Dropout that was left in a model for inference."""

from dataclasses import replace

import numpy as np
import onnx
from onnx import helper

from graphcore.copies import copy_of
from onnxgraph.editing.finishing import constants, without_dead_parts
from onnxgraph.editing.proof import same
from onnxgraph.editing.result import Edited, edited
from onnxgraph.editing.rewire import move_readers
from onnxgraph.examples.reference import reference_runs
from onnxgraph.model.entry_check import checked
from onnxgraph.model.graphs import graphs
from onnxgraph.model.nodes import node_name, titled
from onnxgraph.repairs.evidence import unchanged


@checked
def remove_dropout(model: onnx.ModelProto) -> Edited:
    """Remove every Dropout, even one in training mode, which makes every run give other results.

    The proof compares with the model after all of them are switched off. A Dropout whose mask is
    read is left in place, and so is one whose training_mode is computed.
    """
    after = copy_of(model)
    changes, names, left, training = [], [], [], False
    for graph in graphs(after.graph):
        for node in [node for node in graph.node if node.op_type == "Dropout"]:
            mode, why = _mode(after.graph, graph, node)
            if why:
                left.append(f"{titled(node)} was left: {why}")
                continue
            training |= mode
            _bypass(graph, node)
            names.append(node_name(node))
            changes.append(
                f"{titled(node)} removed" + (", which was in training mode" if mode else "")
            )
    if not changes:
        return unchanged(model, *(left or ["there is no Dropout"]))
    if training:
        change = _variation(model)
        said = f"two runs on the same input differ by up to {change:.3g}"
        changes.insert(0, f"evidence: {said} (without onnxruntime's optimiser, which hides it)")
    result = edited(model, without_dead_parts(after), changes + left, names)
    return replace(result, reports=same(_switched_off(model), result.model))


def _mode(main: onnx.GraphProto, graph: onnx.GraphProto, node: onnx.NodeProto) -> tuple[bool, str]:
    """Return whether a Dropout is in training mode, and why it cannot be removed ("" if it can)."""
    mask = node.output[1] if len(node.output) > 1 else ""
    read = {name for each in graphs(main) for inner in each.node for name in inner.input}
    read.update(value.name for each in graphs(main) for value in each.output)
    if mask in read:
        return False, f"its mask {mask!r} is read"
    if len(node.input) < 3 or not node.input[2]:
        return False, ""
    value = {**constants(main), **constants(graph)}.get(node.input[2])
    if value is None:
        return False, f"its training_mode {node.input[2]!r} is computed"
    return bool(value.any()), ""


def _bypass(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """Let all its readers read the Dropout's input. If it gives an output it becomes an
    Identity."""
    move_readers(graph, node.output[0], node.input[0])
    if node.output[0] in {value.name for value in graph.output}:
        node.op_type = "Identity"
        del node.input[1:]
        del node.output[1:]
        del node.attribute[:]
    else:
        graph.node.remove(node)


def _switched_off(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which no Dropout is in training mode."""
    copy = copy_of(model)
    for graph in graphs(copy.graph):
        for node in graph.node:
            if node.op_type == "Dropout" and len(node.input) > 2:
                del node.input[2:]
    return without_dead_parts(copy)


def _seeded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that draws the same numbers in every process, and new ones in every run."""
    copy = copy_of(model)
    for graph in graphs(copy.graph):
        for number, node in enumerate(graph.node):
            if node.op_type == "Dropout":
                kept = [attribute for attribute in node.attribute if attribute.name != "seed"]
                del node.attribute[:]
                node.attribute.extend([*kept, helper.make_attribute("seed", number)])
    return copy


def _variation(model: onnx.ModelProto) -> float:
    """Return the largest difference between two runs of the model as it is written.

    onnxruntime's optimiser is off here, because it removes every Dropout, even one in training
    mode.
    """
    from onnxgraph.running.sessions import Session

    _, given, _ = reference_runs(model, batches=(1,))[0]
    session, names = Session(_seeded(model), optimise=False), [o.name for o in model.graph.output]
    pairs = zip(session.run(names, given), session.run(names, given), strict=True)
    return max(float(np.abs(second - first).max(initial=0)) for first, second in pairs)
