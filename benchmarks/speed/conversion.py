"""Time and memory of a conversion: ours, onnx-tf's and onnx2tf's side by side."""

import shutil
import statistics

import processes
import results
from processes import MODELS, OUT

RUNS = {"ours": 3, "ours, verified": 2, "onnx-tf": 2, "onnx2tf": 1}
"""How often each converter converts a model (onnx2tf takes minutes)."""

TIMEOUT = 120
"""Seconds after which a conversion is stopped."""

FILES = {"onnx-tf": ("{}.onnx", "{}.opset11.onnx"), "onnx2tf": ("{}.batch{}.onnx",)}
"""The files for a converter. They are tried in order until it accepts one."""

ENVIRONMENT = {"onnx2tf": "peers"}


def measure(name):
    """Measure the conversions of one model in alternation, and keep the converted graphs."""
    runs = {which: [] for which in RUNS}
    for turn in range(max(RUNS.values())):
        for which, seen in runs.items():
            if turn < RUNS[which] and not (seen and "failed" in seen[-1]):
                seen.append(converted(which, name))
    weights = (MODELS / f"{name}.onnx").stat().st_size / 1e6
    row = {which: _median(seen) for which, seen in runs.items()}
    results.store("conversion", name, {"weights": weights, "runs": row})


def baseline():
    """Measure TensorFlow alone, in two processes as in one of our conversions."""
    runs = [processes.task("tf", "converters.py", "nothing", "", "") for _ in range(3)]
    results.store("conversion", "", {"megabytes": statistics.median(r.megabytes for r in runs)})


def converted_by(which, name, batch=None):
    """Return the path of a converter's result."""
    suffix = f".batch{batch}" if batch else ""
    return OUT / "converted" / which.replace(", ", "-") / f"{name}{suffix}"


def converted(which, name, batch=1):
    """Convert once and return {"seconds", …} or {"failed": reason}. `batch` is for fixed files."""
    fixed = which == "onnx2tf"
    out = converted_by(which, name, batch if fixed else None)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)  # the result of an earlier run must not count
    out.with_name(f"{name}.pb").unlink(missing_ok=True)
    said = []
    for file in FILES.get(which, ("{}.onnx",)):
        model = MODELS / file.format(name, batch)
        if not model.exists():
            continue
        arguments = ("converters.py", which, model, out)
        done = processes.task(ENVIRONMENT.get(which, "tf"), *arguments, timeout=TIMEOUT)
        failed = done.failed or done.said.get("failed")
        if not failed:
            return {**done.said, "megabytes": done.megabytes, "file": model.name}
        said.append(f"{model.name}: {failed}")
    return {"failed": "; ".join(said)}


def _median(runs):
    """Return the medians of the runs, or the failure."""
    found = results.medians(runs, "import", "seconds", "megabytes")
    return found if "failed" in found else {**found, "file": runs[0]["file"], "runs": len(runs)}
