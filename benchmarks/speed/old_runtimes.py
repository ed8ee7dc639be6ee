"""The same graphs on the real old TensorFlows.

Our rules alone retarget onnx-tf's graph.
"""

import processes
import results
from catalogue import BATCHES, LEGACY
from conversion import converted_by
from latency import inputs, measured
from processes import MODELS, OUT


def measure(name):
    """Measure one network on every old runtime, at every batch size."""
    row = {}
    for target in LEGACY:
        graphs, failed = graphs_for(name, target)
        graphs["onnxruntime"] = ("tf", "onnxruntime", MODELS / f"{name}.onnx")
        arrays = {batch: inputs(name, batch) for batch in BATCHES}
        times = measured(dict.fromkeys(BATCHES, graphs), arrays)
        row[target] = {batch: times[batch] | failed for batch in BATCHES}
    results.store("legacy", name, row)


def graphs_for(name, target):
    """Return (arguments of `Contender` by title, {"failed": reason} by title)."""
    folder = OUT / "legacy" / target
    folder.mkdir(parents=True, exist_ok=True)
    ours, theirs = folder / f"{name}.ours.pb", folder / f"{name}.onnx-tf.pb"
    made = {
        "ours": (ours, ("ours", MODELS / f"{name}.onnx", target, ours)),
        "onnx-tf": (theirs, ("old", converted_by("onnx-tf", name), target, theirs)),
    }
    graphs, failed = {}, {}
    for title, (path, arguments) in made.items():
        done = processes.task("tf", "artefacts.py", *arguments)
        reason = done.failed or done.said.get("failed")
        if reason:
            failed[title] = {"failed": reason}
        else:
            graphs[title] = (target, "frozen", path)
    return graphs, failed
