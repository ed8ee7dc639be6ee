"""Run a conversion on the TensorFlow of its target, one of the legacy runtimes on this machine."""

from collections.abc import Iterable

import onnx

from graphcore.parity import TOLERANCE, Report
from graphcore.progress import stage
from onnxgraph.model.entry_check import checked
from tfgraph.comparing.judge import Judge
from tfgraph.comparing.tracing import traced
from tfgraph.conversion import Conversion


@checked
@stage("comparing on the target's own runtime")
def compare_on_target(
    conversion: Conversion,
    model: onnx.ModelProto,
    *,
    batches: Iterable[int] = (1, 3),
    tolerance: float = TOLERANCE,
) -> tuple[Report, ...]:
    """Run a conversion on the legacy TensorFlow of its target, and compare with onnxruntime.

    Args:
        conversion: the result of `onnx2tf` for "tf1.4", "tf1.13" or "tf1.15", written or not.
        model: the model from which it was made.
        batches: batch sizes, where the batch is symbolic.
        tolerance: largest difference allowed, relative to the largest reference value.

    Raises:
        UnknownName: the runtime is not installed (see `tfgraph.runtimes.runtimes.missing`).
        GraphError: the runtime cannot load or run the graph.
        ParityError: it computes something else there.
    """
    judge = Judge(model, tolerance=tolerance, precisions=conversion.precisions)
    rounds = judge.rounds(tuple(batches))
    names = {**conversion.inputs, **conversion.outputs}
    source = traced(conversion.graph, model, runtime=conversion.target, tensors=names)
    found = []
    for each in rounds:
        seen = source.tensors(conversion.outputs, each.feeds)
        report = judge.report(each, seen, title=source.title)
        found += [report.check()] if report else []
    return tuple(found)
