"""Plot the growth of time and memory into growth.svg beside the results."""

import matplotlib

matplotlib.use("svg")

import growth
import matplotlib.pyplot as plt

WHICH = {"ours": "not verified", growth.VERIFIED: "verified"}
AXES = {"nodes": "ONNX nodes", "weights": "weights, MB"}
KEYS = {"seconds": "seconds", "megabytes": "peak memory, MB"}


def draw(path, baseline):
    """Write the plot. `baseline` is the memory that importing takes."""
    plt.rcParams |= {"svg.hashsalt": "growth", "svg.fonttype": "none", "font.size": 9}
    figure, grid = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
    for column, (kind, label) in enumerate(AXES.items()):
        for row, (key, title) in enumerate(KEYS.items()):
            axes = grid[row][column]
            for which, legend in WHICH.items():
                sizes, values = growth.points(kind, which, key)
                axes.plot(sizes, values, "o-", markersize=4, label=legend)
            axes.set(xlabel=label, ylabel=title)
            axes.grid(alpha=0.3)
            if key == "seconds":
                axes.set(xscale="log", yscale="log")
            elif kind == "weights":
                sizes, _ = growth.points(kind, "ours", key)
                limit = [baseline + 4 * size for size in sizes]
                axes.plot(sizes, limit, "k--", linewidth=1, label="limit: import + 4 × weights")
            if key == "megabytes":
                axes.locator_params(axis="x", nbins=5)
            axes.legend()
    figure.savefig(path, metadata={"Date": None})
