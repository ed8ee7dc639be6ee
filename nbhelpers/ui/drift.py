"""A picture of the difference between two runs of one model, along its depth."""

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nbhelpers.ui.pictures import Picture
from onnxgraph.comparing.layers import LayerReport

FLOOR = 1e-9
"""The smallest relative difference that is drawn. A difference of zero is not drawn."""

CEILING = 10.0
"""The height for tensors that cannot be compared, because of NaN or another shape."""


def drift_picture(reports: Mapping[str, LayerReport], title: str = "") -> Figure:
    """Return a figure of the relative difference of each tensor, in graph order.

    A gentle slope is rounding, a step of several powers of ten is a fault. Tensors that differ are
    marked, and the first of them is named. Tensors that are equal to the last bit leave a gap.

    Args:
        reports: a label for each report, and the report.
        title: what is shown.
    """
    figure = Picture(figsize=(8, 3.2), facecolor="white", layout="constrained")
    draw_drift(figure.add_subplot(), reports, title)
    return figure


def draw_drift(axes: Axes, reports: Mapping[str, LayerReport], title: str = "") -> None:
    """Draw the content of `drift_picture` into the axes of another figure."""
    axes.set_xlabel("tensor, in graph order")
    axes.set_ylabel("largest difference,\nof the tensor's largest value")
    axes.set_yscale("log")
    for over, (label, report) in enumerate(reports.items(), start=1 - len(reports)):
        heights = [_height(layer.row.relative) for layer in report.layers]
        wide = 1 - 1.3 * over  # earlier lines are wider, so that equal ones do not hide them
        (line,) = axes.plot(heights, ".-", linewidth=wide, markersize=5 + wide, label=label)
        bad = [place for place, layer in enumerate(report.layers) if layer.differs]
        axes.plot(bad, [heights[p] for p in bad], "o", color=line.get_color(), label="_")
        if bad:
            name = report.layers[bad[0]].name.replace("$", r"\$")
            axes.annotate(name, (bad[0], heights[bad[0]]), (0, 8), textcoords="offset points")
    for tolerance in {report.tolerance for report in reports.values()}:
        axes.axhline(tolerance, linestyle="--", color="gray", linewidth=1, label="tolerance")
    axes.set_ylim(FLOOR / 2, CEILING * 5)
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        axes.set_title(title.replace("$", r"\$"))
    if reports:
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _height(relative: float) -> float:
    """Return the height for a relative difference: the top for NaN, and none for an exact match."""
    if relative == 0:
        return math.nan
    return min(max(relative, FLOOR), CEILING) if relative == relative else CEILING
