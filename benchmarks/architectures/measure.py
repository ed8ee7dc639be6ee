"""Convert exported architectures for every target and run them on the real runtimes.

    .envs/tf/bin/python benchmarks/architectures/measure.py folder [--only swin,lstm]

`export.py` writes the folder. Each artefact is compared with onnxruntime at two batch sizes. The
table holds the largest difference relative to the largest output, or the reason of a refusal.
"""

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "coverage"))

import measure_legacy

from graphcore import parity
from graphcore.errors import Refusal
from graphcore.targets import NAMES, NEWEST
from nbhelpers import convert, onnxgraph
from onnxgraph.examples.reference import reference_runs

HERE = Path(__file__).resolve().parent
HEAD = """# Real architectures

Made by `make architectures`: networks with seeded weights, exported by PyTorch's TorchScript
exporter (`name.onnx`) and by its dynamo exporter (`name.dynamo.onnx`). The largest difference from
onnxruntime at batch 1 and 3, as a share of the largest output, on each target's own runtime.
"""


def row(path, targets):
    """Return {"file", "opset", "nodes", target: outcome} for one ONNX file."""
    model = onnxgraph.load(path)
    runs = reference_runs(model, batches=(1, 3))
    cells = {"file": path.name, "opset": onnxgraph.opset(model), "nodes": len(model.graph.node)}
    for target in targets:
        try:
            made = convert.onnx2tf(model, None, target=target)
        except Refusal as error:
            cells[target] = f"refused: {str(error)[:160]}"
            continue
        except Exception as error:
            cells[target] = f"FAILED: {type(error).__name__} {str(error)[:160]}"
            continue
        cells[target] = judged(made, target, runs)
    return cells


def judged(made, target, runs):
    """Return the largest relative difference on the target's own runtime, or the error."""
    if target == NEWEST.name:
        seen = [convert.run_conversion(made, feeds) for _, feeds, _ in runs]
    else:
        with tempfile.TemporaryDirectory() as folder:
            fed = [feeds for _, feeds, _ in runs]
            seen = measure_legacy.run(target, [(made, fed)], Path(folder))[0]
        if isinstance(seen, str):
            return f"FAILED: {seen[:160]}"
    reports = [parity.compare(run[2], found) for run, found in zip(runs, seen)]
    worst = max(report.worst for report in reports)
    return f"{worst:.1e}" if all(report.ok for report in reports) else f"WRONG {worst:.1e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--targets", default=",".join(reversed(NAMES)))
    options = parser.parse_args()
    targets = options.targets.split(",")
    paths = sorted(options.folder.glob("*.onnx"))
    if options.only and options.only != "own":
        paths = [p for p in paths if p.name.split(".")[0] in options.only.split(",")]
    columns = ["file", "opset", "nodes", *targets]
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for path in paths:
        cells = row(path, targets)
        lines.append("| " + " | ".join(str(cells.get(c, "")) for c in columns) + " |")
        print(lines[-1], flush=True)
    if not options.only and len(targets) == len(NAMES):
        text = "\n".join([HEAD, *lines, *not_exported(options.folder)]) + "\n"
        (HERE / "README.md").write_text(text, encoding="utf-8")


def not_exported(folder):
    """Return a list of the files that PyTorch's exporters did not write, with the reasons."""
    path = folder / "not_exported.json"
    failed = json.loads(path.read_text()) if path.exists() else {}
    if failed:
        yield from ("", "Not there, because PyTorch's exporter refused:", "")
    for file, reason in sorted(failed.items()):
        yield f"- {file}: {reason}"


if __name__ == "__main__":
    main()
