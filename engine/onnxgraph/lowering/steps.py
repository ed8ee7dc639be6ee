"""Lower a graph one opset at a time: inline ONNX's own functions, and apply a rule to each node."""

from collections import Counter
from dataclasses import dataclass, field

import onnx

from onnxgraph.lowering.node_rewriter import NodeRewriter, NotLowered
from onnxgraph.lowering.rules import RULES
from onnxgraph.lowering.scope import Scope
from onnxgraph.lowering.widened_ops import definition, keep
from onnxgraph.model.domains import is_default
from onnxgraph.model.functions import inline_functions
from onnxgraph.model.graphs import graphs
from onnxgraph.model.inference import infer_shapes
from onnxgraph.model.names import Names, used_names
from onnxgraph.model.nodes import node_name
from onnxgraph.model.obstacles import Obstacle


@dataclass
class Log:
    """The changes on the way down, and the nodes that could not be lowered."""

    rewritten: Counter[str] = field(default_factory=Counter)
    nodes: list[str] = field(default_factory=list)
    obstacles: list[Obstacle] = field(default_factory=list)
    stuck: set[str] = field(default_factory=set)


def step(model: onnx.ModelProto, version: int, log: Log) -> onnx.ModelProto:
    """Return the model in opset `version` − 1, which may be the same object, changed.

    A node that cannot be lowered stays unchanged. It is noted in `log` and not tried again.
    """
    nodes = [node for graph in graphs(model.graph) for node in graph.node]
    changed = {op for op in {n.op_type for n in nodes if is_default(n)} if _is_new(op, version)}
    if any(is_default(node) and node.op_type in changed for node in nodes):
        model = _without_functions(model, version, log)
        inferred = infer_shapes(model, data_prop=True)
        _lower(Scope(inferred.graph, version, Names(used_names(inferred.graph))), log)
        model = inferred
    for opset in model.opset_import:
        if is_default(opset):
            opset.version = version - 1
    return model


def _lower(scope: Scope, log: Log) -> None:
    """Rewrite the nodes of one graph, after those of its subgraphs."""
    made: list[onnx.NodeProto] = []
    for node in scope.graph.node:
        for attribute in node.attribute:
            for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                _lower(scope.inner(graph), log)
        is_stuck = bool(log.stuck.intersection(node.output))
        if is_stuck or not is_default(node) or not _is_new(node.op_type, scope.version):
            made.append(node)
        else:
            made += _lowered(NodeRewriter(node, scope), log)
    del scope.graph.node[:]
    scope.graph.node.extend(made)


def _lowered(rewriter: NodeRewriter, log: Log) -> list[onnx.NodeProto]:
    node, version = rewriter.proto, rewriter.scope.version
    try:
        RULES.get((node.op_type, version), keep)(rewriter)
    except NotLowered as refusal:
        log.obstacles.append(Obstacle(rewriter.label, node.op_type, version, str(refusal)))
        log.stuck.update(filter(None, node.output))
        return [node]
    if rewriter.made != [node]:
        log.nodes += [node_name(each) for each in rewriter.made]
        ops = dict.fromkeys(each.op_type for each in rewriter.made)
        notes = "".join(f" ({note})" for note in rewriter.notes)
        log.rewritten[f"{node.op_type}-{version} → {', '.join(ops)}{notes}"] += 1
    return rewriter.made


def _without_functions(model: onnx.ModelProto, version: int, log: Log) -> onnx.ModelProto:
    """Inline calls of functions that are new in this opset, unless a rule handles them."""
    wanted = Counter(
        node.op_type
        for graph in graphs(model.graph)
        for node in graph.node
        if is_default(node) and _to_inline(node, version)
    )
    if not wanted:
        return model
    log.rewritten.update({f"{op}-{version} → its definition": n for op, n in wanted.items()})
    return inline_functions(model, keep=lambda n: not (is_default(n) and _to_inline(n, version)))


def _to_inline(node: onnx.NodeProto, version: int) -> bool:
    """Whether a call is replaced by the body of ONNX's own function."""
    if not _is_new(node.op_type, version) or (node.op_type, version) in RULES:
        return False
    schema = definition(node.op_type, version)
    if schema is None:
        return False
    bodies = (schema.function_opset_versions, schema.context_dependent_function_opset_versions)
    if not any(known <= version for versions in bodies for known in versions):
        return False  # the op is no function, or its body uses newer ops
    older = definition(node.op_type, version - 1)
    if older is None:
        return True
    # A revised function is inlined only where it uses something new. Types are not compared.
    names = Scope(onnx.GraphProto(), version, Names())
    try:
        keep(NodeRewriter(node, names))
    except NotLowered:
        return True
    return False


def _is_new(op_type: str, version: int) -> bool:
    """Whether this opset defines the op, new or again."""
    schema = definition(op_type, version)
    return schema is not None and schema.since_version == version
