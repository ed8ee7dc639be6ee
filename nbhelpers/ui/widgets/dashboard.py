"""Runs compared with the reference: choose a run, a case and an output, and see the comparison.

The call behind it is `parity_picture`. A table above the picture shows every comparison.
"""

from collections.abc import Iterable, Mapping

import ipywidgets
import numpy as np

from graphcore import parity
from graphcore.errors import GraphError
from graphcore.golden import Case
from nbhelpers.ui.parity_picture import parity_picture, verdict
from nbhelpers.ui.pictures import Picture
from nbhelpers.ui.tables import Table, table
from nbhelpers.ui.widgets.display import Handlers, Shown, stacked
from onnxgraph.comparing.layers import LayerReport

Given = Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]
"""Name of the run → case → output → array."""


def parity_dashboard(
    cases: Iterable[Case],
    given: Given,
    *,
    drift: Mapping[str, LayerReport] | None = None,
    tolerance: float = parity.TOLERANCE,
    precisions: Mapping[str, str] | None = None,
) -> Shown["Dashboard"]:
    """Return a picture of the difference between runs and their reference, the worst one first.

    Args:
        cases: inputs and the reference's outputs.
        given: name of the run ("TensorFlow 1.4.1") → case → output → array.
        drift: reports of `compare_layers` for some runs, drawn below.
        tolerance: the largest difference allowed, as a share of the largest value of an output.
        precisions: output → the coarsest dtype that it went through (see `parity.compare`).

    Raises:
        GraphError: nothing was run, or a case has no reference.
    """
    known = {case.name: case for case in cases}
    chosen = [
        (run, case, output)
        for run, by_case in given.items()
        for case, outputs in by_case.items()
        for output in outputs
    ]
    strange = sorted({case for _, case, output in chosen if output not in _outputs(known, case)})
    if strange or not chosen:
        what = f"for {', '.join(strange)}" if strange else "because nothing was run"
        raise GraphError(f"There is no reference {what}. Give the golden cases and their runs.")
    board = Board(known, given, drift or {}, tolerance, precisions or {})
    chosen.sort(key=lambda each: -board.severity(*each))
    return Shown(board.picture(*chosen[0]), lambda: Dashboard(board, chosen[0]))


class Board:
    """The arrays to compare. Every method is one call of the package."""

    def __init__(
        self,
        cases: Mapping[str, Case],
        given: Given,
        drift: Mapping[str, LayerReport],
        tolerance: float,
        precisions: Mapping[str, str],
    ) -> None:
        """Hold the arrays. Nothing is compared yet."""
        self.cases, self.given, self.drift = cases, given, drift
        self.tolerance, self.precisions = tolerance, precisions

    def pair(self, run: str, case: str, output: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the reference's array and the run's."""
        return self.cases[case].outputs[output], self.given[run][case][output]

    def severity(self, run: str, case: str, output: str) -> float:
        """Return the relative difference, or infinity if the two cannot be compared."""
        expected, actual = self.pair(run, case, output)
        worst = parity.compare({"": expected}, {"": actual}).worst
        return worst if worst == worst else float("inf")

    def picture(self, run: str, case: str, output: str) -> Picture:
        """Return the picture of one comparison."""
        expected, actual = self.pair(run, case, output)
        inputs = [
            value
            for value in self.cases[case].inputs.values()
            if value.ndim > 3 and expected.ndim and len(value) == len(expected)
        ]
        return parity_picture(
            expected,
            actual,
            f"{run} · case {case} · output {output}",
            sample=inputs[0] if inputs else None,
            drift=self.drift,
            tolerance=self.tolerance,
            precision=self.precisions.get(output, ""),
        )

    def overview(self, case: str) -> Table:
        """Return the verdict on every run and output of one case."""
        rows = [
            {
                "run": run,
                "output": output,
                "says": verdict(
                    *self.pair(run, case, output), self.tolerance, self.precisions.get(output, "")
                ),
            }
            for run, by_case in self.given.items()
            for output in by_case.get(case, {})
        ]
        return table(rows, f"case {case}, compared with the reference")


class Dashboard:
    """The widgets of `parity_dashboard`."""

    def __init__(self, board: Board, first: tuple[str, str, str]) -> None:
        """Make the widgets and show the comparison `first` (run, case, output)."""
        self._board = board
        run, case, output = first
        self.run = ipywidgets.Dropdown(options=list(board.given), value=run, description="run")
        self.case = ipywidgets.Dropdown(options=list(board.given[run]), description="case")
        self.output = ipywidgets.Dropdown(description="output")
        self.overview = ipywidgets.HTML()
        self.picture = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="100%"))
        for each, width in ((self.run, 410), (self.case, 200), (self.output, 200)):
            each.layout.width, each.style.description_width = f"{width}px", "50px"
        choices = ipywidgets.HBox(
            [self.run, self.case, self.output], layout=ipywidgets.Layout(flex_flow="row wrap")
        )
        self.box = stacked(choices, self.picture, self.overview)
        self.box.add_class("nbh-dashboard")
        handlers = Handlers()
        handlers.on_change(lambda new: self._show(), self.run, self.case, self.output)
        handlers.run(lambda: self._show(case, output))

    def _show(self, case: str = "", output: str = "") -> None:
        """Offer the cases of this run and the outputs of this case, and show the chosen one."""
        by_case = self._board.given[self.run.value]
        case = _offer(self.case, list(by_case), case or self.case.value)
        output = _offer(self.output, list(by_case[case]), output or self.output.value)
        self.picture.value = self._board.picture(self.run.value, case, output)._repr_png_()
        self.overview.value = self._board.overview(case)._repr_html_()


def _offer(box: ipywidgets.Dropdown, options: list[str], wanted: str) -> str:
    """Offer other options. Return the one that is then chosen, which is `wanted` if it exists."""
    if list(box.options) != options:
        box.options = options
    box.value = wanted if wanted in options else options[0]
    return box.value


def _outputs(cases: Mapping[str, Case], case: str) -> Mapping[str, np.ndarray]:
    return cases[case].outputs if case in cases else {}
