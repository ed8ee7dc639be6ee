"""Time and memory of a process until a SavedModel has answered for the first time.

Each SavedModel has a process of its own, which must import its runtime. The processes run one after
another. Ours is measured twice: with its large matrices as variables, as it is written, and with
constants only.
"""

import time

import processes
import results
from conversion import converted_by
from latency import Contender, graphs_for, inputs, older
from processes import OUT

NETWORKS = ("resnet50", "vgg16", "vit")
"""Networks with enough weights to make the first answer slow."""

TITLES = ("ours", "constants", "onnx-tf", "keras")
RUNS = 2


def measure(name):
    """Measure one network with one picture."""
    graphs, _ = graphs_for(name, 1)
    graphs["constants"] = ("tf", "saved_model", _constants(name))
    files = inputs(name, 1)
    seen = {title: [] for title in TITLES if title in graphs}
    for _ in range(RUNS):
        for title, runs in seen.items():
            runs.append(answered(graphs[title], files))
    row = {t: results.medians(runs, "seconds", "megabytes") for t, runs in seen.items()}
    results.store("answer", name, row)


def answered(graph, files):
    """Return {"seconds", "megabytes"} of a process until its first answer, or {"failed"}."""
    begin = time.perf_counter()
    contender = Contender(*graph)
    watch = processes.Watch(contender.process.pid)
    answer = contender.ask(input=str(files[contender.channels_last]), calls=1)
    seconds, megabytes = time.perf_counter() - begin, watch.stop()
    contender.end()
    if "error" in answer:
        return {"failed": answer["error"]}
    return {"seconds": seconds, "megabytes": megabytes}


def _constants(name):
    frozen, folder = converted_by("ours", name).with_name(f"{name}.pb"), OUT / "constants" / name
    if frozen.exists() and older(folder / "saved_model.pb", frozen):
        processes.task("tf", "artefacts.py", "constants", frozen, folder)
    return folder
