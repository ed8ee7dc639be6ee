"""Referees for a model's results: onnxruntime, or another one if it may be wrong or has no kernel.

onnxruntime rounds and sums differently with its optimiser and without it, and some of its kernels
are wrong on some processors. ONNX's reference evaluator is slow, but follows the standard's text.
"""

from collections.abc import Iterator

import onnx

from graphcore.errors import GraphError
from graphcore.spec import Feeds
from onnxgraph.model import interface
from onnxgraph.model.graphs import graphs
from onnxgraph.model.inference import InferenceFailed
from onnxgraph.model.value_info import inferred_graph
from onnxgraph.running.sessions import NoKernel, ReferenceSession, Session, Stopped

TIMEOUT = 120.0
"""Seconds that a run of the reference evaluator may take. It is used only in doubt."""

PLAIN = "onnxruntime without its optimiser"

_PRODUCTS = {"MatMulInteger": 1, "QLinearMatMul": 3}
"""Ops that multiply 8-bit integers, and the position of the second factor."""


def open_session(model: onnx.ModelProto, *, few_runs: bool = False) -> Session:
    """Open a model in onnxruntime, or in ONNX's reference evaluator if onnxruntime may be wrong.

    Raises:
        GraphError: the model is refused.
    """
    if _overflows(model):
        return ReferenceSession(model)
    try:
        return Session(model, few_runs=few_runs)
    except NoKernel:
        return ReferenceSession(model)


def _overflows(model: onnx.ModelProto) -> bool:
    """Whether onnxruntime may sum 8-bit products in 16 bits. Its exact mode is only for weights."""
    nodes = [node for graph in graphs(model.graph) for node in graph.node]
    factors = {
        node.input[_PRODUCTS[node.op_type]] for node in nodes if node.op_type in _PRODUCTS
    } - {tensor.name for tensor in model.graph.initializer}
    if not factors:
        return False
    try:
        inferred = inferred_graph(model)
    except InferenceFailed:
        return True
    kinds = {
        value.name: value.type.tensor_type.elem_type
        for graph in graphs(inferred)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    return any(kinds.get(name) in (None, onnx.TensorProto.INT8) for name in factors)


def others(model: onnx.ModelProto, feeds: Feeds) -> Iterator[tuple[str, Feeds]]:
    """Yield the results of other referees than onnxruntime with its optimiser, as far as they can
    run.

    Args:
        model: the model.
        feeds: its inputs.
    """
    names = [value.name for value in model.graph.output]
    wanted = {spec.name for spec in interface.inputs(model)}
    given = {name: value for name, value in feeds.items() if name in wanted}
    for title in (PLAIN, ReferenceSession.title):
        try:
            session = (
                Session(model, few_runs=True, optimise=False)
                if title == PLAIN
                else ReferenceSession(model, timeout=TIMEOUT)
            )
            yield title, dict(zip(names, session.run(names, given), strict=True))
        except (GraphError, Stopped):
            continue
