"""Prove an edit: the model before and the model after, run on the same seeded inputs."""

from collections.abc import Iterable

import onnx

from nbhelpers import parity
from nbhelpers.onnxgraph.examples import reference_runs
from nbhelpers.onnxgraph.run import Runner

TOLERANCE = 1e-5
"""An edit reorders a few additions at most; more than this share of the largest value is a
change."""


def same(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    *,
    batches: Iterable[int] = (1, 3),
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> tuple[parity.Report, ...]:
    """Run both models in onnxruntime and return a report for each batch.

    Args:
        before: the reference; its inputs decide what is fed, by name.
        after: what is judged; it takes the same inputs.
        batches: batch sizes; one run only if the batch is fixed.
        tolerance: largest difference allowed, as a share of the largest value of each output.
        seed: of the random inputs.

    Raises:
        ParityError: they compute different things; the worst outputs are in the message.
        GraphError: one of them cannot be run.
    """
    runner, reports = Runner(after), []
    for batch, feeds, expected in reference_runs(before, batches=batches, seed=seed):
        title = f"batch {batch}"
        report = parity.compare(expected, runner.run(feeds), tolerance=tolerance, title=title)
        reports.append(report.check())
    return tuple(reports)
