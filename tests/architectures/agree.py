"""Convert ONNX files for every target and compare on its runtime: `python agree.py folder`.

The script needs `benchmarks/coverage` on the module path. It prints a line for each file and
target: the largest difference relative to the largest output, or the error. The comparison uses two
batch sizes and, where sizes are symbolic, an even and an odd one.
"""

import sys
import tempfile
from pathlib import Path

import measure_legacy

from graphcore import parity
from graphcore.errors import Refusal
from graphcore.targets import NEWEST
from nbhelpers import convert, onnxgraph
from onnxgraph.examples.reference import reference_runs


def converted(model, target):
    """Return the conversion, or the error.

    The conversion is compared later, with all the others.
    """
    try:
        return convert.onnx2tf(model, None, target=target, verify=False)
    except Refusal as error:
        return f"refused: {error}"


def seen_by(target, jobs):
    """Return the outputs of each (conversion, [inputs]), or the error."""
    if target == NEWEST.name:
        return [[convert.run_conversion(made, each) for each in fed] for made, fed in jobs]
    with tempfile.TemporaryDirectory() as folder:
        return measure_legacy.run(target, jobs, Path(folder))


def verdict(runs, seen):
    """Return the largest difference, or the error."""
    if isinstance(seen, str):
        return seen
    reports = [parity.compare(run[2], found) for run, found in zip(runs, seen, strict=True)]
    bad = [repr(report) for report in reports if not report.ok]
    return " ".join("; ".join(bad).split()) or f"{max(report.worst for report in reports):.1e}"


def main(folder):
    """Take one target after the other, so that each old runtime starts once."""
    models = {path.name: onnxgraph.load(path) for path in sorted(folder.glob("*.onnx"))}
    runs = {name: reference_runs(model, batches=(1, 3)) for name, model in models.items()}
    for target in convert.TARGETS:
        made = {name: converted(model, target) for name, model in models.items()}
        good = {name: each for name, each in made.items() if not isinstance(each, str)}
        jobs = [(each, [feeds for _, feeds, _ in runs[name]]) for name, each in good.items()]
        seen = {**made, **dict(zip(good, seen_by(target, jobs), strict=True))}
        for name in models:
            print(name, target, verdict(runs[name], seen[name]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
