"""Compare a graph with the referees of its ONNX model, on normal inputs and special values."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from graphcore.parity import Report, compare
from graphcore.spec import Feeds
from onnxgraph.examples.reference import reference_runs, special_runs
from onnxgraph.running import referees, session_process
from onnxgraph.running.run import Runner
from onnxgraph.running.sessions import ReferenceSession


@dataclass(frozen=True)
class Round:
    """Inputs, and what the referee computes for them. `special` inputs have values such as NaN."""

    name: str
    feeds: Feeds
    expected: Feeds
    special: bool = False


class Judge:
    """Compares a graph's outputs with those that referees compute from its ONNX model."""

    def __init__(
        self, model: onnx.ModelProto, *, tolerance: float, precisions: Mapping[str, str]
    ) -> None:
        """Take the model, and the dtypes of half floats on the way to its outputs."""
        self._model, self._tolerance = model, tolerance
        self._referee = ReferenceSession.title
        self._precisions = precisions

    def rounds(self, batches: tuple[int, ...]) -> list[Round]:
        """Return inputs and expected outputs: normal ones, then special values.

        The model is only open during this call, so that the graph can use the memory afterwards.

        Raises:
            GraphError: no referee runs the model, or the model accepts no inputs.
        """
        runner = Runner(self._model, few_runs=True)
        found = reference_runs(self._model, batches=batches, runner=runner)
        rounds = [Round(f"batch {batch}", feeds, expected) for batch, feeds, expected in found]
        special = special_runs(self._model, found, runner=runner)
        rounds += [Round(*each, special=True) for each in special]
        self._referee = runner.referee
        del runner
        session_process.free()
        return rounds

    def report(self, round_: Round, seen: Mapping[str, np.ndarray], *, title: str) -> Report | None:
        """Return a report on the outputs, or None if the referees differ over special values.

        If the outputs differ from onnxruntime's, the other referees are asked. The report names the
        first one that agrees. A difference in special values counts only if ONNX's evaluator agrees
        with onnxruntime.

        Args:
            round_: the inputs and the expected outputs.
            seen: the graph's outputs.
            title: what computed them.
        """
        name = f"{title} against {{}}, {round_.name}"
        first = self._compared(round_.expected, seen, name.format(self._referee))
        if first.ok or self._referee == ReferenceSession.title:
            return first
        agreed = False
        for referee, expected in referees.others(self._model, round_.feeds):
            report = self._compared(expected, seen, name.format(referee))
            if report.ok:
                return report
            if referee == ReferenceSession.title:
                agreed = self._compared(round_.expected, expected, referee).ok
        return first if agreed or not round_.special else None

    def _compared(self, expected: Feeds, seen: Mapping, title: str) -> Report:
        return compare(
            expected,
            seen,
            tolerance=self._tolerance,
            title=title,
            precisions=self._precisions,
        )
