"""One output of two runs in one picture: values, errors, scatter plot, worst sample as an image."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from graphcore import parity
from nbhelpers.ui.drift import draw_drift
from nbhelpers.ui.pictures import Picture
from onnxgraph.comparing.layers import LayerReport

POINTS = 5000
"""The most points in a scatter plot. Of more values, this many are drawn at even distances."""

VALUES = 40
"""Values of one sample that are drawn side by side, around the worst one."""

FLOOR = 1e-10
"""The smallest error that is drawn, because zero has no logarithm."""


def parity_picture(
    expected: np.ndarray,
    actual: np.ndarray,
    title: str = "",
    *,
    sample: np.ndarray | None = None,
    drift: Mapping[str, LayerReport] | None = None,
    tolerance: float = parity.TOLERANCE,
    precision: str = "",
) -> Picture:
    """Return a figure that compares one output with its reference.

    Args:
        expected: the reference, real numbers of any shape. Its first axis counts samples.
        actual: the values to judge.
        title: the title, followed by the verdict of `parity.compare`.
        sample: the input with the same first axis. The worst sample is shown if it is an image.
        drift: reports of `compare_layers`, whose drift along the depth is drawn below.
        tolerance: the largest difference allowed, as a share of the largest reference value.
        precision: the coarsest dtype that the values went through, as in `parity.compare`.
    """
    expected, actual = np.asarray(expected), np.asarray(actual)
    rows = 2 if drift else 1
    figure = Picture(figsize=(11, 3.1 * rows), facecolor="white", layout="constrained")
    text = f"{title} · {verdict(expected, actual, tolerance, precision)}"
    figure.suptitle(text.replace("$", r"\$"), fontsize=11)
    if expected.shape != actual.shape or expected.dtype.kind not in "biuf" or not expected.size:
        return figure
    worst = parity.worst_sample(expected, actual)
    image = _image(sample[worst]) if sample is not None and np.ndim(sample) else None
    grid = figure.add_gridspec(rows, 4 if image is not None else 3)
    places = [figure.add_subplot(grid[0, column]) for column in range(grid.ncols)]
    _side_by_side(places[0], expected, actual, worst)
    _errors(places[1], expected, actual, max(tolerance, parity.COARSE.get(precision, 0.0)))
    _scatter(places[2], expected, actual)
    if image is not None:
        places[3].imshow(image, cmap="gray")
        places[3].set_title(f"input of sample {worst}, the worst", fontsize=9)
        places[3].set_axis_off()
    if drift:
        draw_drift(figure.add_subplot(grid[1, :]), drift)
    return figure


def verdict(
    expected: np.ndarray,
    actual: np.ndarray,
    tolerance: float = parity.TOLERANCE,
    precision: str = "",
) -> str:
    """Return the verdict of `parity.compare` on one output, and in how many rows the labels
    agree."""
    report = parity.compare(
        {"": expected}, {"": actual}, tolerance=tolerance, precisions={"": precision}
    )
    row = report.rows[0]
    text = row.status + (f" ({row.note})" if row.note else "")
    if row.relative == row.relative:
        text += f", {row.relative:.1e} of the largest value"
        same = parity.label_agreement(expected, actual)
        text += f", labels agree in {same[0]} of {same[1]}" if same else ""
    return text


def _side_by_side(axes: Axes, expected: np.ndarray, actual: np.ndarray, worst: int) -> None:
    one, two = (
        np.atleast_1d(each[worst] if each.ndim else each).ravel() for each in (expected, actual)
    )
    middle = int(np.nan_to_num(np.abs(two.astype(float) - one), nan=np.inf).argmax())
    start = max(0, min(middle - VALUES // 2, one.size - VALUES))
    places = np.arange(start, min(one.size, start + VALUES))
    axes.bar(places - 0.2, one[places], width=0.4, label="reference")
    axes.bar(places + 0.2, two[places], width=0.4, label="this run")
    axes.legend(fontsize=8)
    axes.set_title(f"values of sample {worst}, the worst", fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("place in the output")
    axes.set_ylabel("value")


def _errors(axes: Axes, expected: np.ndarray, actual: np.ndarray, tolerance: float) -> None:
    difference = np.abs(actual.astype(float) - expected.astype(float))
    scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=0)) or 1.0
    finite = np.maximum(difference[np.isfinite(difference)] / scale, FLOOR)
    high = max(1.0, float(finite.max(initial=FLOOR)))
    axes.hist(finite, bins=np.geomspace(FLOOR, high * 1.01, 41).tolist())
    axes.axvline(tolerance, linestyle="--", color="gray", label="tolerance")
    axes.set_xscale("log")
    if finite.size:
        axes.set_yscale("log")
        axes.set_ylim(0.5, None)  # one value stays visible beside a million
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(fontsize=8)
    axes.set_title("errors of all values", fontsize=9)
    axes.set_xlabel("difference, of the largest value")
    axes.set_ylabel("how many values")


def _scatter(axes: Axes, expected: np.ndarray, actual: np.ndarray) -> None:
    step = max(1, expected.size // POINTS)
    one, two = expected.ravel()[::step], actual.ravel()[::step]
    axes.plot(one, two, ".", markersize=3)
    middle = float(np.median(one))
    axes.axline((middle, middle), slope=1, color="gray", linewidth=0.8)
    axes.set_title("against the reference", fontsize=9)
    axes.set_xlabel("reference")
    axes.set_ylabel("this run")


def _image(sample: np.ndarray) -> np.ndarray | None:
    """Return (height, width) or (height, width, 3) in 0…1, or None if this is not an image.

    For a volume (channels, depth, height, width) it is the middle slice.
    """
    if sample.ndim == 4:
        sample = sample[:, sample.shape[1] // 2]
    if sample.ndim != 3 or min(sample.shape[1:]) < 4 or sample.dtype.kind not in "biuf":
        return None
    chosen = sample.transpose(1, 2, 0) if len(sample) == 3 else sample[0]
    numbers = np.nan_to_num(chosen.astype(np.float64))
    low, high = numbers.min(), numbers.max()
    return (numbers - low) / (high - low or 1.0)
