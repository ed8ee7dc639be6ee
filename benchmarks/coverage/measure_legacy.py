"""Run conversions on a real runtime, many in one process, even if some crash."""

import json
import sys
from pathlib import Path

import ml_dtypes
import numpy as np

from graphcore import environments, processes
from graphcore.targets import NEWEST
from nbhelpers import convert
from tfgraph.runtimes import runtimes

WORKER = Path(__file__).resolve().with_name("legacy.py")

LIMIT = 600
"""Seconds that a job may take."""


def run(target, jobs, folder, **settings):
    """Return for each (conversion, [inputs]) a list of outputs by ONNX name, or what went wrong.

    `target` is a legacy runtime, or "tf2". `settings` are added to its environment variables.
    """
    homes = [folder / str(index) for index in range(len(jobs))]
    for home, (conversion, runs) in zip(homes, jobs):
        write(home, conversion, runs)
    run_all(target, homes, folder / "jobs.json", settings)
    return [read(home, *job) for home, job in zip(homes, jobs)]


def write(home, conversion, runs):
    home.mkdir(parents=True)
    convert.save_graph_def(conversion.graph_def, home / "frozen.pb")
    (home / "fetch.json").write_text(json.dumps(list(conversion.outputs.values())))
    for number, inputs in enumerate(runs):
        fed = {conversion.inputs[name]: value for name, value in inputs.items()}
        np.savez(home / f"in{number}.npz", **{str(i): v for i, v in enumerate(fed.values())})
        (home / f"in{number}.json").write_text(json.dumps(list(fed)))


def run_all(target, homes, list_of_jobs, settings):
    """Run the worker until every job is done.

    A job that ends the worker is marked and left out.
    """
    python = sys.executable if target == NEWEST.name else environments.python(target)
    todo = list(homes)
    while todo:
        list_of_jobs.write_text(json.dumps([str(home) for home in todo]))
        processes.run(
            [python, WORKER, list_of_jobs],
            limit=LIMIT,
            env={**runtimes.clean_environment(), **settings},
            progress=lambda: sum((home / "done.json").exists() for home in homes),
        )
        todo = [home for home in todo if not (home / "done.json").exists()]
        if todo:
            (todo.pop(0) / "done.json").write_text(json.dumps("the process died"))


def read(home, conversion, runs):
    error = json.loads((home / "done.json").read_text())
    if error:
        return error
    seen = []
    for number in range(len(runs)):
        with np.load(home / f"out{number}.npz") as arrays:
            found = [arrays[str(i)] for i in range(len(conversion.outputs))]
        found = [a.view(ml_dtypes.bfloat16) if a.dtype.kind == "V" else a for a in found]
        seen.append(dict(zip(conversion.outputs, found)))
    return seen
