"""Every node that keeps a batch from becoming dynamic, with the reason.

The rewritten graph is run at more rows than the batch had, and every tensor is fetched. A node is
an obstacle if its inputs are right and its output is wrong. Its output is then replaced by the
right one and the run is repeated, so that the nodes after it are judged too.
"""

import re
from collections.abc import Iterable
from functools import partial

import numpy as np
import onnx

from graphcore import parity
from graphcore.copies import copy_of
from graphcore.errors import GraphError
from graphcore.spec import Feeds
from onnxgraph.model import interface
from onnxgraph.model.dataflow import needed_for
from onnxgraph.model.nodes import node_name
from onnxgraph.model.obstacles import Obstacle
from onnxgraph.running.run import Runner, tensor_names
from onnxgraph.sizing.batch_examples import run_apart
from onnxgraph.sizing.batch_proof import TOLERANCE, Differs, join
from onnxgraph.sizing.batch_shapes import rows_axis
from onnxgraph.sizing.batch_state import Work

MOST = 20
"""At most this many obstacles are named."""

Found = list[tuple[onnx.NodeProto, str]]
"""The obstacles found so far, each with its reason."""


def refusal(
    model: onnx.ModelProto, work: Work, found: list[Obstacle], difference: GraphError
) -> GraphError:
    """Return the refusal that names every node whose rows differ from those of the original.

    Args:
        model: the original.
        work: the state of the work on the rewritten model.
        found: the nodes.
        difference: why the proof failed.
    """
    if not found:
        where = f"no single node explains it ({difference})"
    elif len(found) == 1:
        where = f"{found[0].title} stands in the way ({found[0].why})"
    else:
        listed = "; ".join(f"{each.title} ({each.why})" for each in found)
        where = f"{len(found)} nodes stand in the way: {listed}"
    return GraphError(
        f"The batch cannot be made dynamic: {where}. Export the model with a dynamic batch, or "
        f"change what is named so that every row is computed on its own.{_elsewhere(model, work)}"
    )


def _elsewhere(model: onnx.ModelProto, work: Work) -> str:
    """Return advice for a model whose batch may be on another axis than assumed."""
    several = len(interface.inputs(model)) > 1
    if not several and not any(node.op_type in ("LSTM", "GRU", "RNN") for node in model.graph.node):
        return ""
    return f" The batch was looked for at axes={dict(work.axes)}; if it is elsewhere, say where."


def obstacles(model: onnx.ModelProto, result: onnx.ModelProto, work: Work) -> list[Obstacle]:
    """Return the nodes that prevent a dynamic batch, in the order of computation, with reasons.

    The list is empty if the original does not run either, or if its batch is dynamic.

    Args:
        model: the original.
        result: the rewritten model, which failed the proof.
        work: the state of the work on it.
    """
    found: list[Obstacle] = []
    # A run of the original must not hold all rows, because it would mix them as the result does.
    for rows in (max(3, work.batch + 1), 1):
        if work.batch and not found:
            found = _obstacles_at(model, result, work, rows)
    return found


def _obstacles_at(
    model: onnx.ModelProto, result: onnx.ModelProto, work: Work, rows: int
) -> list[Obstacle]:
    shared = set(tensor_names(model))
    nodes = [node for node in result.graph.node if not work.knows(node.output[0])]
    judged = {name for node in nodes for name in node.output if name in shared and name}
    try:
        runner = Runner(model, fetch=judged)
        ((_, feeds, parts),) = run_apart(model, runner, work.axes, work.batch, [rows])
    except GraphError:
        return []
    found: Found = []
    right: Feeds = {}  # the right outputs of the obstacles found so far
    lost: set[str] = set()  # tensors that depend on an obstacle without a known right output
    while len(found) < MOST:
        new = _round(result, work, feeds, right, judged - lost, parts, rows)
        if not new:
            break
        found += new
        for node, _ in new:
            for name in node.output:
                whole = _right_value(name, work, parts, rows) if name in judged else None
                if whole is None:
                    lost |= _behind(result, name)
                else:
                    right[name] = whole
    order = {node.output[0]: number for number, node in enumerate(result.graph.node)}
    found = sorted(found[:MOST], key=lambda each: order[each[0].output[0]])
    return [Obstacle.of(node, why) for node, why in found]


def _round(
    result: onnx.ModelProto,
    work: Work,
    feeds: Feeds,
    right: Feeds,
    judged: set[str],
    parts: list[Feeds],
    rows: int,
) -> Found:
    """Return the obstacles that appear when the outputs in `right` are given as inputs."""
    graph = _given(result, right, judged)
    wanted = [n for n in judged if n not in right and n in set(tensor_names(graph))]
    try:
        seen = Runner(graph, fetch=wanted).run({**feeds, **right})
    except GraphError as error:
        node = _mentioned(graph, str(error))
        said = str(error).partition("Status Message: ")[2] or str(error)
        return [(node, said.rstrip("."))] if node else []
    wrong: dict[str, str] = {}
    found = []
    for node in graph.graph.node:
        judge = partial(_difference, seen=seen, parts=parts, work=work, count=rows)
        reasons = [judge(name) for name in node.output if name in seen]
        reason = next((each for each in reasons if each), "")
        before = [wrong[name] for name in node.input if name in wrong]
        if before:
            reason = before[0]
        elif reason:
            found.append((node, reason))
        if reason:
            wrong.update(dict.fromkeys(node.output, reason))
    return found


def _difference(name: str, *, seen: Feeds, parts: list[Feeds], work: Work, count: int) -> str:
    """Return how a tensor differs from that of the original, row by row, or "" if it does not."""
    try:
        rows = join([part[name] for part in parts], seen[name], count, work.batch)
    except Differs as difference:
        return str(difference)
    report = parity.compare({name: rows}, {name: seen[name]}, tolerance=TOLERANCE * 10)
    if report.ok:
        return ""
    note = report.rows[0].note.removesuffix("labels differ").rstrip(", ") or "in its labels"
    return f"at batch {count} its rows differ from those of each row alone, {note}"


def _right_value(name: str, work: Work, parts: list[Feeds], rows: int) -> np.ndarray | None:
    """Return the right value of a tensor, or None if no axis of it is the batch."""
    axis = rows_axis(work.shape(name))
    one = parts[0][name]
    if axis is None:
        axis = 0 if one.ndim and one.shape[0] == work.batch else None
    if axis is None or axis >= one.ndim:
        return None
    size = one.shape[axis] // work.batch * rows
    return np.concatenate([part[name] for part in parts], axis=axis).take(range(size), axis=axis)


def _given(result: onnx.ModelProto, right: Feeds, judged: Iterable[str]) -> onnx.ModelProto:
    """Return the model with these tensors as inputs instead of computed, and without outputs."""
    copy = copy_of(result)
    graph = copy.graph
    del graph.value_info[:]
    del graph.output[:]
    for node in graph.node:
        node.name = node_name(node)
        node.output[:] = [f"{name}/wrong" if name in right else name for name in node.output]
    for name, value in right.items():
        dtype = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        graph.input.append(onnx.helper.make_tensor_value_info(name, dtype, value.shape))
    kept = [copy_of(graph.node[place]) for place in needed_for(graph, judged)[0]]
    del graph.node[:]
    graph.node.extend(kept)
    return copy


def _behind(result: onnx.ModelProto, name: str) -> set[str]:
    """Return the tensor and all tensors computed from it."""
    found = {name}
    for node in result.graph.node:
        if found.intersection(node.input):
            found.update(node.output)
    return found


def _mentioned(model: onnx.ModelProto, message: str) -> onnx.NodeProto | None:
    """Return the node that an error message of onnxruntime names."""
    mentioned = set(re.findall(r"[Nn]ame: ?'?([^'),\s]+)|Node \(([^)]+)\)", message))
    names = {name for pair in mentioned for name in pair if name}
    return next((node for node in model.graph.node if node.name in names), None)
