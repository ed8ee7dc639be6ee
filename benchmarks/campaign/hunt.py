"""A round of a campaign: draw models from one seed, then shrink and keep the first new failure."""

import time

import onnx
from drawing import seeds, sketches
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from record import Finding, Record
from referees import NoReferee, Referees
from routes import FAILED, WRONG, Routes
from sketch import Sketch
from values import feeds

SHRINKING = 60
"""Seconds for shrinking a failure."""


class Hunt:
    """Draws models and sends them through every route."""

    def __init__(
        self, record: Record, *, targets: tuple[str, ...], only: tuple[str, ...], models: int
    ) -> None:
        """Prepare the processes. Each starts when it is first needed."""
        self.record, self.models = record, models
        self.referees = Referees()
        self.routes = Routes(self.referees, targets=targets)
        self.only = only

    def round(self, seed: int, end: float) -> None:
        """Draw models from a seed until one fails in a new way, then shrink it and write it."""
        last: list[Finding] = []
        until = [0.0]

        @seeded(seed)
        @settings(
            max_examples=self.models,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
        )
        @given(sketches(ops=self.only), seeds())
        def trial(sketch, values):
            now = time.monotonic()
            if (last and now > until[0]) or (not last and now > end):
                return
            finding = self.first_finding(sketch, values, wanted=last[0] if last else None)
            if finding:
                last[:] = [finding]
                until[0] = until[0] or now + SHRINKING
                raise finding

        try:
            trial()
        except Finding:
            pass
        except Exception as error:
            if not last:
                raise
            del error
        if last:
            self.record.keep(last[0], seed)

    def first_finding(
        self, sketch: Sketch, values: int, *, wanted: Finding | None = None
    ) -> Finding | None:
        """Return the failure of a model if it is new.

        While shrinking, return it if it is of the `wanted` kind.
        """
        count = self.record.count if wanted is None else lambda *words: None
        model = sketch.model(check=False)
        runs = feeds(sketch.inputs, values)
        outputs = [t for t in sketch.tensors if t.name not in sketch.read]
        try:
            expected = self.referees.expected(model, runs, exact=all(t.exact for t in outputs))
        except NoReferee as error:
            count("drawn", "no referee", str(error))
            return None
        count("drawn", "models", "")
        only = wanted.route if wanted else ""
        for who, verdict, reason in self.routes.all(model, runs, expected, only=only):
            count(who, verdict, reason)
            if verdict not in (WRONG, FAILED):
                continue
            finding = Finding(who, verdict, reason, model, runs, ops_of(model))
            if wanted.key == finding.key if wanted else not self.record.knows(finding):
                return finding
        return None


def ops_of(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the ops of a model, each once."""
    return tuple(sorted({node.op_type for node in model.graph.node}))
