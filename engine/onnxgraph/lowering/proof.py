"""Prove a lowered model by onnxruntime, or by ONNX itself where onnxruntime is too old for it."""

from collections.abc import Iterable

import onnx
from onnx import helper

from graphcore import parity
from graphcore.errors import GraphError
from onnxgraph.editing.proof import same
from onnxgraph.examples import given
from onnxgraph.examples.examples import feeds, has_dynamic_batch
from onnxgraph.model import interface
from onnxgraph.model.precision import precisions
from onnxgraph.running.run import Runner


def proven(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    *,
    batches: Iterable[int],
    tolerance: float,
) -> tuple[parity.Report, ...]:
    """Return a report for each batch.

    `same` describes the arguments and the errors.
    """
    if _runtime_knows(interface.opset(before)):
        return same(before, after, batches=batches, tolerance=tolerance)
    from onnx.reference import ReferenceEvaluator  # the import takes 6 MB and is seldom needed

    specs, names = interface.inputs(before), [value.name for value in before.graph.output]
    reference, runner = ReferenceEvaluator(before), Runner(after)
    reports = []
    sizes = tuple(batches) if has_dynamic_batch(specs) else (1,)
    runs = {f"example {number}": each for number, each in enumerate(given.feeds(specs), start=1)}
    if not runs:
        runs = {f"batch {batch}": feeds(specs, batch=batch) for batch in sizes}
    for title, fed in runs.items():
        expected = dict(zip(names, reference.run(None, fed), strict=True))
        seen = runner.run(fed)
        title = f"{title}, by ONNX's reference"
        report = parity.compare(
            expected, seen, tolerance=tolerance, title=title, precisions=precisions(after)
        )
        reports.append(report.check())
    return tuple(reports)


def _runtime_knows(opset: int) -> bool:
    """Whether onnxruntime loads models of an opset.

    ONNX supports the newest opsets first.
    """
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = helper.make_node("Identity", ["x"], ["y"])
    result = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = helper.make_graph([node], "smallest", [value], [result])
    opsets = [helper.make_opsetid("", opset)]
    try:
        Runner(helper.make_model(graph, opset_imports=opsets, ir_version=8))
    except GraphError:
        return False
    return True
