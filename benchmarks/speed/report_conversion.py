"""The part of the report about conversions: time and memory."""

import conversion
from cells import baseline, head, in_order, line, notes, number, seconds, verdict
from results import geometric_mean

OURS, VERIFIED = "ours", "ours, verified"
SLOWER = 5
"""The least factor by which other converters must be slower, in geometric mean."""

PER_WEIGHT = 4

TEXT = """## Conversion

Seconds, each conversion in a process of its own, in alternation; medians of {runs} runs. What is
imported before is not counted: {imports}. onnx-tf compares nothing, as ours does unverified; ours,
verified, compares with onnxruntime at two batch sizes. onnx2tf, with nothing chosen, compares each
op and writes TFLite files too; it gets files with a fixed batch, and is given up after {timeout} s.
× is how many times longer than ours, unverified.
"""

MEMORY = """### Peak memory

MB, of the process and its children, libraries that they share counted once. The limit is
{per_weight} × weights and what TensorFlow alone takes where it is imported and its graph optimiser
waits in a second process, as in a conversion of ours ({baseline:.0f} MB).
"""


def conversion_lines():
    """Return the tables, and the means beside their limits."""
    rows = {name: row["runs"] for name, row in in_order("conversion").items()}
    lines = [
        TEXT.format(
            runs=", ".join(f"{count} ({title})" for title, count in conversion.RUNS.items()),
            imports=", ".join(f"{_imports(rows, title)} s ({title})" for title in conversion.RUNS),
            timeout=conversion.TIMEOUT,
        ),
        *head(OURS, VERIFIED, "onnx-tf", "×", "onnx2tf", "×"),
    ]
    for name, runs in rows.items():
        cells = [seconds(runs[OURS]), seconds(runs[VERIFIED])]
        for title in ("onnx-tf", "onnx2tf"):
            cells += [seconds(runs[title]), number(_times(runs, title, OURS), "{:.1f}")]
        lines.append(line(name, *cells))
    lines.append("")
    for title, base in (("onnx-tf", OURS), ("onnx2tf", OURS), ("onnx-tf", VERIFIED)):
        ratios = (_times(runs, title, base) for runs in rows.values())
        lines.append(_limit(title, base, [ratio for ratio in ratios if ratio]))
    return [*lines, *notes(rows.items()), "", *_memory_lines()]


def _limit(title, base, ratios):
    if not ratios:
        return f"- {title}: nothing was converted."
    mean, least = geometric_mean(ratios), min(ratios)
    return (
        f"- {title} takes {mean:.1f}× as long as {base}, in geometric mean of {len(ratios)}, and "
        f"{least:.1f}× at least (limit: {SLOWER}×, and never below 1): "
        f"{verdict(mean >= SLOWER and least >= 1)}"
    )


def _memory_lines():
    rows = in_order("conversion")
    titles = (OURS, VERIFIED, "onnx-tf", "onnx2tf")
    lines = [
        MEMORY.format(per_weight=PER_WEIGHT, baseline=baseline()),
        *head("weights", "limit", *titles),
    ]
    over = {OURS: [], VERIFIED: []}
    for name, row in rows.items():
        limit = memory_limit(row["weights"])
        seen = {title: row["runs"][title].get("megabytes") for title in titles}
        for title, names in over.items():
            excess = (seen[title] or 0) - limit
            names += [f"{name} (by {excess:.0f} MB)"] if excess > 0 else []
        cells = [number(each, "{:.0f}") for each in (row["weights"], limit, *seen.values())]
        lines.append(line(name, *cells))
    lines.append("")
    for title, names in over.items():
        above = f", above at {', '.join(names)}" if names else ""
        lines.append(f"- {title}{above}: {verdict(not names)}")
    return lines


def memory_limit(weights):
    """Return the limit of memory in MB for converting a number of MB of weights."""
    return baseline() + PER_WEIGHT * weights


def _times(runs, title, base):
    if "seconds" not in runs[title] or "seconds" not in runs[base]:
        return None
    return runs[title]["seconds"] / runs[base]["seconds"]


def _imports(rows, title):
    seen = [runs[title]["import"] for runs in rows.values() if "import" in runs[title]]
    return f"{geometric_mean(seen):.1f}" if seen else "–"
