"""A tensor's value at a glance: its range in one line, its histogram in one picture."""

import numpy as np

from nbhelpers.ui.pictures import Picture


def value_line(value: np.ndarray) -> str:
    """Return dtype, shape, range and the count of values that are not finite, in one line."""
    value = np.asarray(value)
    shape = "×".join(map(str, value.shape)) or "scalar"
    start = f"{value.dtype.name} {shape}"
    if not value.size or value.dtype.kind not in "biuf":
        return f"{start} · {value.size} values"
    numbers = value.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    line = start
    if finite.size:
        line += f" · {finite.min():.4g} to {finite.max():.4g}, mean {finite.mean():.4g}"
        line += f", zero {np.mean(finite == 0):.0%}"
    odd = numbers.size - finite.size
    return f"{line} · {odd} values are NaN or infinite" if odd else line


def value_picture(value: np.ndarray, title: str = "") -> Picture:
    """Return a histogram of the finite values of an array (real numbers or booleans).

    Args:
        value: an array of any shape. Texts and complex numbers have no histogram, and the picture
            says so.
        title: the title of the picture.
    """
    value = np.asarray(value)
    figure = Picture(figsize=(6.4, 2.2), facecolor="white", layout="constrained")
    axes = figure.add_subplot(xlabel="value", ylabel="how many")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title.replace("$", r"\$"), fontsize=9)
    if value.dtype.kind in "biuf":
        numbers = value.astype(np.float64).ravel()
        axes.hist(numbers[np.isfinite(numbers)], bins=50)
    else:
        axes.text(0.5, 0.5, f"no histogram of {value.dtype.name}", ha="center")
    return figure
