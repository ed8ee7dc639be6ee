"""The latency of the converted graphs, with all graphs of one network measured in alternation.

Every contender runs in a process of its own with the same number of threads. It runs in several
such processes, because the place of a process's memory changes the latency by a few percent.
TensorFlow's graphs are all SavedModels, called through their signature. PyTorch and onnxruntime are
measured too, because they show what the machine can do. The report names every graph whose outputs
differ from onnxruntime's. A setting tells TensorFlow whether to use oneDNN, so that the processor
does not decide this.
"""

import contextlib
import json
import os
import random
import statistics
import subprocess
import tempfile

import numpy as np
import processes
import results
from catalogue import BATCHES, MODELS
from conversion import converted, converted_by
from processes import OUT

PROCESSES = 3
"""The number of processes of a contender, one after another. The median of medians counts."""

ROUNDS = 4
SECONDS = 0.2
"""The approximate time in seconds for which a contender is measured in each round."""

MOST_CALLS = 20
THREADS = os.cpu_count()


class Contender:
    """A graph in a process that times it on request (see contender.py)."""

    def __init__(self, environment, kind, what, channels_last=False, *, onednn=True):
        command = [
            str(processes.python(environment)), str(processes.HERE / "contender.py"),
            kind, str(what), str(THREADS),
        ]  # fmt: skip
        self.channels_last = channels_last
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (it lives as long as the process)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=processes.environ() | {"TF_ENABLE_ONEDNN_OPTS": str(int(onednn))},
        )

    def send(self, **request):
        """Send a request without waiting for the answer."""
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def receive(self):
        """Return the answer, or {"error": …} if there is no answer."""
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        status = self.process.wait()
        self.log.seek(0)
        said = processes.last_words(self.log.read())
        return {"error": f"ended with status {status}{said and f'; it said last: {said}'}"}

    def ask(self, **request):
        """Send a request and return its answer, or {"error": …} if it failed."""
        with contextlib.suppress(BrokenPipeError):
            self.send(**request)
        return self.receive()

    def end(self):
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.log.close()


def measure(name, *, onednn=True):
    """Measure one network at every batch size, with or without oneDNN in TensorFlow."""
    graphs, failed = {}, {}
    for batch in BATCHES:
        graphs[batch], failed[batch] = graphs_for(name, batch)
    arrays = {batch: inputs(name, batch) for batch in BATCHES}
    times = measured(graphs, arrays, onednn=onednn)
    part = "latency" if onednn else "without_onednn"
    results.store(part, name, {batch: times[batch] | failed[batch] for batch in BATCHES})


def graphs_for(name, batch):
    """Return (arguments of `Contender` by title, {"failed": reason} by title)."""
    model = MODELS[name]
    folders = {
        "ours": _saved_model(name),
        "onnx-tf": converted_by("onnx-tf", name),
        "onnx2tf": _onnx2tf(name, batch),
    }
    if model.twin:
        folders["keras"] = _twin(name)
    found = {
        "onnxruntime": ("tf", "onnxruntime", processes.MODELS / f"{name}.onnx"),
        "torch": ("architectures", "torch", name),
    }
    failed = {}
    for title, folder in folders.items():
        if (folder / "saved_model.pb").exists():
            last = model.image and title in ("onnx2tf", "keras")
            found[title] = ("tf", "saved_model", folder, last)
        else:
            failed[title] = {"failed": "not converted"}
    return found, failed


def measured(graphs, arrays, *, onednn=True):
    """Return batch → title → result.

    A result is {"ms": median, "each": [median of each process], "difference": …}, or {"failed":
    reason}.

    `graphs` has the arguments of `Contender` by batch and title, and `arrays` has what `inputs`
    returns by batch. A graph that takes every batch uses one process for all batches.
    """
    runs, shuffled = {batch: [] for batch in graphs}, random.Random(0)
    for _ in range(PROCESSES):
        with contextlib.ExitStack() as stack:
            contenders = {}
            for arguments in dict.fromkeys(a for each in graphs.values() for a in each.values()):
                contenders[arguments] = Contender(*arguments, onednn=onednn)
                stack.callback(contenders[arguments].end)
            for batch, titles in graphs.items():
                some = {title: contenders[arguments] for title, arguments in titles.items()}
                runs[batch].append(compared(some, arrays[batch], shuffled))
    return {
        batch: {title: _summary([run[title] for run in runs[batch]]) for title in titles}
        for batch, titles in graphs.items()
    }


def _summary(runs):
    """Return the summary of a contender's processes, or the error of the first that failed."""
    for run in runs:
        if "failed" in run:
            return run
    each = [run["ms"] for run in runs]
    return {**runs[0], "ms": statistics.median(each), "each": each}


def compared(contenders, arrays, shuffled):
    """Return title → result as in `measured`, for one process each and one batch."""
    row, calls = {}, {}
    files = {title: arrays[c.channels_last] for title, c in contenders.items()}
    outputs = {title: OUT / f"output-{title}.npy" for title in contenders}
    for title, contender in contenders.items():  # they load at the same time
        contender.send(input=str(files[title]), save=str(outputs[title]))
    for title, contender in contenders.items():
        answer = contender.receive()
        if "error" not in answer:
            answer = contender.ask(input=str(files[title]), calls=3)
        if "error" in answer:
            row[title] = {"failed": answer["error"]}
        else:
            calls[title] = max(1, min(MOST_CALLS, round(1000 * SECONDS / answer[-1])))
    seen = {title: [] for title in calls}
    for _ in range(ROUNDS):
        # Threads of the previous contender may still be busy, so the order changes at random.
        for title in shuffled.sample(list(calls), len(calls)):
            answer = contenders[title].ask(input=str(files[title]), calls=calls[title] + 1)
            if "error" in answer:
                row[title] = {"failed": answer["error"]}
                del calls[title]
            else:
                seen[title] += answer[1:]  # caches are cold in the first call of a round
    for title in calls:
        row[title] = {"ms": statistics.median(seen[title])}
        if title != "keras":  # its weights are different
            row[title]["difference"] = difference(outputs["onnxruntime"], outputs[title])
    return row


def inputs(name, batch):
    """Write the seeded input.

    Return its files: in PyTorch's order of axes, and with channels last.
    """
    model = MODELS[name]
    random = np.random.default_rng(0)
    if model.dtype == "int64":
        array = random.integers(0, 50, (batch, *model.shape))
    else:
        array = random.standard_normal((batch, *model.shape), dtype=np.float32)
    files = {}
    for last in (False, True):
        files[last] = OUT / f"input-{batch}-{last}.npy"
        np.save(files[last], np.moveaxis(array, 1, -1) if last and model.image else array)
    return files


def difference(expected, seen):
    """Return the largest difference of two files, relative to the largest value."""
    want, got = np.load(expected), np.load(seen)
    if got.shape != want.shape and got.ndim > 2:
        got = np.moveaxis(got, -1, 1)
    if got.shape != want.shape:
        return f"shape {got.shape}, not {want.shape}"
    return float(np.abs(got - want).max() / np.abs(want).max())


def _saved_model(name):
    frozen, folder = converted_by("ours", name).with_name(f"{name}.pb"), OUT / "saved" / name
    if frozen.exists() and older(folder / "saved_model.pb", frozen):
        processes.task("tf", "artefacts.py", "saved_model", frozen, folder)
    return folder


def older(made, source):
    """Whether a file made from another one is missing or older than that one."""
    return not made.exists() or made.stat().st_mtime < source.stat().st_mtime


def _twin(name):
    model, folder = MODELS[name], OUT / "twins" / name
    if not folder.exists():
        processes.task("tf", "artefacts.py", "twin", model.twin, folder, *model.shape)
    return folder


def _onnx2tf(name, batch):
    """Convert for a batch that was not measured, once, if the measured conversion succeeded."""
    first, out = (converted_by("onnx2tf", name, each) for each in (BATCHES[0], batch))
    model = processes.MODELS / f"{name}.batch{batch}.onnx"
    if older(out, model) and (first / "saved_model.pb").exists():
        converted("onnx2tf", name, batch)
    return out
