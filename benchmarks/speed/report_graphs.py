"""The parts of the report about the graphs, on this TensorFlow and on old ones."""

import first_answer
from catalogue import BATCHES, LEGACY, MODELS
from cells import head, in_order, line, milliseconds, notes, ran, verdict
from latency import PROCESSES
from results import geometric_mean

ON_EVERY_ONE = {"onnx2tf": 1.0, "keras": 1.0}
"""The largest ratio allowed of our latency to the other one, for each network."""

IN_THE_MEAN = {"onnx-tf": 0.6}
"""The same limit for the geometric mean."""

TITLES = ("ours", "onnx-tf", "onnx2tf", "keras", "onnxruntime", "torch")

TEXT = """## The graph

Median milliseconds on the TensorFlow of the kernel convert, all of one network in alternation, in
{processes} processes each, one after another: the median of their medians. Every graph of
TensorFlow is a SavedModel called through its signature: ours and onnx-tf's with a dynamic batch,
onnx2tf's with a fixed one, and keras.applications' own network. onnxruntime and torch are the limit
of what the machine can do. In brackets: our latency as a share of that one. What failed or is wrong
is in no mean. TensorFlow computes with oneDNN here, as it does on newer processors.
"""

WITHOUT = """### Without oneDNN

The same graphs where TensorFlow computes without oneDNN, as it does on other processors.
"""

ANSWER = """### The first answer

Seconds and MB of a process that imports its runtime, loads a SavedModel and answers for one
picture: ours as it is written, with large matrices as variables, the same with constants only, and
the others.
"""

OLD = """## The graph on old runtimes

Median milliseconds on the real runtimes: our graph for each, and onnx-tf's own graph retargeted by
our rules alone. onnxruntime is today's. In brackets: our latency as a share of that one.
"""


def latency_lines():
    """Return the tables of latencies, and the means beside their limits."""
    rows = in_order("latency")
    lines = [TEXT.format(processes=PROCESSES), *_tables(rows, "###")]
    lines += [
        "The twins have seeded weights. Where they are other networks:",
        "",
    ]
    lines += [
        f"- {name} ({MODELS[name].twin}): {MODELS[name].twin_differs}"
        for name in rows
        if MODELS[name].twin_differs
    ]
    return [*lines, *_notes(rows)]


def without_onednn_lines():
    """Return the tables of latencies without oneDNN."""
    rows = in_order("without_onednn")
    return [WITHOUT, *_tables(rows, "####"), *_notes(rows)]


def _tables(rows, level):
    lines = []
    for batch in BATCHES:
        lines += [f"{level} Batch {batch}", "", *_table(rows, batch), ""]
    return lines


def _notes(rows):
    return notes((f"{n}, batch {b}", row[b]) for n, row in rows.items() for b in row)


def _table(rows, batch):
    lines, shares = head(*TITLES), {title: {} for title in TITLES}
    for name, row in rows.items():
        seen = row[str(batch)]
        for title in TITLES:
            if ran(seen, title) and ran(seen, "ours"):
                shares[title][name] = seen["ours"]["ms"] / seen[title]["ms"]
        cells = [milliseconds(seen.get("ours", {}))]
        cells += [milliseconds(seen.get(t, {}), shares[t].get(name)) for t in TITLES[1:]]
        lines.append(line(name, *cells))
    limits = [_limit(title, limit, shares[title]) for title, limit in IN_THE_MEAN.items()]
    for title, limit in ON_EVERY_ONE.items():
        above = {
            name: _spread(rows[name][str(batch)], title)
            for name, share in shares[title].items()
            if share > limit
        }
        limits.append(_limit(title, limit, shares[title], above))
    return [*lines, "", *limits]


def _spread(seen, title):
    """Return the range of our latency relative to the other one, over the processes."""
    each = [ours / other for ours, other in zip(seen["ours"]["each"], seen[title]["each"])]
    return f"{min(each):.2f} to {max(each):.2f}"


def _limit(title, limit, shares, above=None):
    """Return the mean beside its limit.

    With `above`, the worst network is compared with the limit, and the networks above the limit are
    listed with their ranges.
    """
    if not shares:
        return f"- {title}: nothing to compare with."
    mean, worst = geometric_mean(shares.values()), max(shares.values())
    every = above is not None
    how = "on every one" if every else "in geometric mean"
    names = [
        f"{name} ({shares[name]:.2f}; its processes {spread})"
        for name, spread in (above or {}).items()
    ]
    more = f", above on {', '.join(names)}" if names else ""
    return (
        f"- ours takes {mean:.2f} of {title}'s, in geometric mean of {len(shares)}, {worst:.2f} at "
        f"worst (limit: {limit} {how}): {verdict((worst if every else mean) <= limit)}{more}"
    )


def answer_lines():
    """Return the table of the first answers."""
    rows = in_order("answer")
    lines = [ANSWER, *head(*first_answer.TITLES)]
    for name, row in rows.items():
        lines.append(line(name, *(_first(row.get(title)) for title in first_answer.TITLES)))
    return [*lines, *notes(rows.items())]


def _first(run):
    if run is None:
        return "–"
    return "failed" if "failed" in run else f"{run['seconds']:.1f} s, {run['megabytes']:.0f} MB"


def legacy_lines():
    """Return the tables of the old runtimes, with notes on graphs that cannot run there."""
    rows, found = in_order("legacy"), []
    titles = ("ours", "onnx-tf", "onnxruntime")
    lines = [OLD]
    for target in LEGACY:
        lines += [f"### {target}", ""]
        lines += head(*(f"{title}, batch {batch}" for batch in BATCHES for title in titles))
        shares = []
        for name, row in rows.items():
            cells = []
            for batch in BATCHES:
                seen = row[target][str(batch)]
                both = ran(seen, "ours") and ran(seen, "onnx-tf")
                share = seen["ours"]["ms"] / seen["onnx-tf"]["ms"] if both else None
                shares += [share] if both else []
                cells += [
                    milliseconds(seen.get(title, {}), share if title == "onnx-tf" else None)
                    for title in titles
                ]
            lines.append(line(name, *cells))
            found.append((f"{name} on {target}", row[target]["1"]))
        if shares:
            lines += [
                "",
                f"- ours takes {geometric_mean(shares):.2f} of onnx-tf's, in geometric mean of "
                f"{len(shares)}, {max(shares):.2f} at worst",
            ]
        lines.append("")
    return [*lines, *notes(found)[1:]]
