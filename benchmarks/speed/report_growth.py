"""The part of the report about growth."""

import growth
import results
from cells import head, line, number, seconds, verdict
from report_conversion import OURS, VERIFIED, memory_limit

LINEAR = 1.1
"""A power of the size that still counts as linear, because a tenth of it is noise."""

LARGER = 1000
"""The power is fitted from this number of nodes on, because fixed costs dominate below it."""


def growth_lines():
    """Return the tables of growth, and its powers."""
    lines = [
        "## Growth",
        "",
        "Our conversion, each in a process of its own: of a chain of residual blocks (Conv, Relu, "
        "Add, Clip), and of matrix products.",
        "",
        "![Time and memory against nodes and weights](growth.svg)",
    ]
    for kind, unit in (("nodes", "nodes"), ("weights", "MB of weights")):
        rows = _sizes(kind)
        lines += ["", *head("seconds", "verified", "peak, MB", "verified")]
        for size, row in rows.items():
            runs = [row[OURS], row[VERIFIED]]
            peaks = [number(run.get("megabytes"), "{:.0f}") for run in runs]
            lines.append(line(f"{size:,} {unit}", *map(seconds, runs), *peaks))
        lines += ["", *(_nodes_limit(which) for which in (OURS, VERIFIED) if kind == "nodes")]
        lines += [_weights_limit(which) for which in (OURS, VERIFIED) if kind == "weights"]
        lines += sorted({f"- {why}" for row in rows.values() for why in _refusals(row)})
    return lines


def _nodes_limit(which):
    sizes, times = growth.points("nodes", which, "seconds")
    power = growth.exponent(sizes, times, least=LARGER)
    return (
        f"- {which}: from {LARGER:,} nodes on, seconds grow with the power {power:.2f} of the "
        f"nodes (limit: linear, that is at most {LINEAR}): {verdict(power <= LINEAR)}"
    )


def _weights_limit(which):
    sizes, peaks = growth.points("weights", which, "megabytes")
    over = [f"{size} MB" for size, peak in zip(sizes, peaks) if peak > memory_limit(size)]
    above = f", above at {', '.join(over)}" if over else ""
    power = growth.exponent(*growth.points("weights", which, "seconds"), least=100)
    return (
        f"- {which}: peak memory against the limit above: {verdict(not over)}{above}; from 100 MB "
        f"on, seconds grow with the power {power:.2f} of the weights"
    )


def _refusals(row):
    if row.get("refused"):
        yield f"beyond 2 GB a SavedModel is written; a frozen graph is refused: {row['refused']}"
    for which in (OURS, VERIFIED):
        if row[which].get("failed"):
            yield f"{which} failed: {row[which]['failed']}"


def _sizes(kind):
    found = results.load("growth").items()
    return {int(name.split()[1]): row for name, row in found if name.startswith(kind)}
