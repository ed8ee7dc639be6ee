"""The growth of our conversion's time and memory with nodes and with weights."""

import math

import processes
import results
from processes import OUT

NODES = (100, 300, 1000, 3000, 10_000, 20_000)
MEGABYTES = (10, 30, 100, 300, 1000, 1800, 2500)
TOO_LARGE = 2**31 / 1e6
"""No frozen graph can hold more megabytes, so a SavedModel with variables is written instead."""

VERIFIED = "ours, verified"


def measure():
    """Measure every size, the smallest first, each conversion in a process of its own."""
    for kind, sizes in (("nodes", NODES), ("weights", MEGABYTES)):
        for size in sizes:
            results.store("growth", f"{kind} {size}", one(kind, size))


def one(kind, size):
    """Return {"ours": {"seconds", "megabytes"}, "ours, verified": …} for one size."""
    folder = OUT / "grown"
    folder.mkdir(parents=True, exist_ok=True)
    model, row = folder / "grown.onnx", {}
    processes.task("tf", "grown.py", kind, str(size), model)
    for which in ("ours", VERIFIED):
        if kind == "weights" and size > TOO_LARGE:
            refused = processes.task("tf", "converters.py", which, model, folder / "out")
            row["refused"] = refused.said.get("failed", "") or refused.failed
            which = f"{which}, to a SavedModel"
        done = processes.task("tf", "converters.py", which, model, folder / "out")
        failed = done.failed or done.said.get("failed")
        row[which.removesuffix(", to a SavedModel")] = (
            {"failed": failed} if failed else {**done.said, "megabytes": done.megabytes}
        )
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    return row


def points(kind, which, key):
    """Return (sizes, values) of the measurements that succeeded."""
    found = {
        int(name.split()[1]): row[which][key]
        for name, row in results.load("growth").items()
        if name.startswith(kind) and key in row.get(which, {})
    }
    return list(found), list(found.values())


def exponent(sizes, values, *, least=0):
    """Return the slope of a line through the logarithms, for sizes of at least `least`."""
    pairs = [(math.log(s), math.log(v)) for s, v in zip(sizes, values) if s >= least]
    if len(pairs) < 2:
        return math.nan
    x, y = (sum(column) / len(pairs) for column in zip(*pairs))
    return sum((a - x) * (b - y) for a, b in pairs) / sum((a - x) ** 2 for a, _ in pairs)
