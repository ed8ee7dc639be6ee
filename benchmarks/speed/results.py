"""The measurements, as JSON in `build/bench`, so that each part can be measured again alone."""

import json
import math
import statistics

from processes import OUT


def load(part):
    """Return the results of a part by model (or by size), or an empty dict."""
    path = OUT / f"{part}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def store(part, name, value):
    """Add the results of one model to those of a part."""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{part}.json").write_text(json.dumps(load(part) | {name: value}, indent=1) + "\n")


def forget():
    """Remove all results, but keep the converted graphs."""
    for path in OUT.glob("*.json"):
        path.unlink()


def geometric_mean(values):
    """Return the geometric mean of some ratios, or nan if there are no ratios."""
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def medians(runs, *keys):
    """Return the medians over some runs by key, or the first run that failed."""
    for run in runs:
        if "failed" in run:
            return run
    return {key: statistics.median(run[key] for run in runs) for key in keys}
