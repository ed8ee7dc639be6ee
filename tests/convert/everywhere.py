"""Models on the real runtimes: default sessions, many models in one process."""

import measure_legacy
import numpy as np
import referees

from nbhelpers import convert
from nbhelpers.convert import TARGETS

RUNTIMES = {
    **{target: (target, {}) for target in TARGETS[:-1]},
    "tf2 without oneDNN": ("tf2", {"TF_ENABLE_ONEDNN_OPTS": "0"}),
    "tf2 with oneDNN": ("tf2", {"TF_ENABLE_ONEDNN_OPTS": "1"}),
}
"""The name of a runtime, its environment, and the variables that are set in it."""

TOLERANCES = {"float16": 4e-3, "float64": 1e-6}
"""The largest relative difference between results. For the other types it is 1e-5."""


def run_there(runtime, conversion, feeds, folder):
    """Return a conversion's outputs by name for each of the feeds, run by a legacy runtime."""
    (results,) = measure_legacy.run(runtime, [(conversion, feeds)], folder / runtime)
    assert not isinstance(results, str), results
    return results


def everywhere(models, folder, *, targets=TARGETS, later=True):
    """Return (model, target, runtime) → outputs by name for each of the feeds, or the error.

    `models` maps names to (model, [feeds, …]). Each is converted for each target, and each result
    is run by the target's runtime and, if `later`, by all later ones.
    """
    made = {
        (name, target): convert.onnx2tf(model, None, target=target, verify=False)
        for name, (model, _) in models.items()
        for target in targets
    }
    seen = {}
    for runtime, (environment, settings) in RUNTIMES.items():
        known = TARGETS[: TARGETS.index(environment) + 1] if later else (environment,)
        jobs = {key: conversion for key, conversion in made.items() if key[1] in known}
        runs = [(conversion, models[name][1]) for (name, _), conversion in jobs.items()]
        results = measure_legacy.run(environment, runs, folder / runtime, **settings)
        seen |= {(*key, runtime): result for key, result in zip(jobs, results, strict=True)}
    return seen


def disagreements(name, models, seen):
    """Return a line for each result that agrees with neither onnxruntime nor the reference."""
    model, feeds = models[name]
    with np.errstate(all="ignore"):
        answers = referees.answers(model.SerializeToString(), feeds)
    assert all(answers), "neither takes the model"
    lines = []
    for (other, target, runtime), results in seen.items():
        if other != name:
            continue
        if isinstance(results, str):
            lines.append(f"{target} on {runtime}: {results}")
            continue
        for run, (accepted, got) in enumerate(zip(answers, results, strict=True)):
            for output, array in got.items():
                said = [unlike(each[output], array) for each in accepted]
                if all(said):
                    lines.append(f"{target} on {runtime}, run {run}, {output}: {said[:1]}")
    return lines


def unlike(want, got):
    """Return how an array differs from the expected one, or "". NaN equals NaN."""
    if want.shape != got.shape or want.dtype != got.dtype:
        return f"{got.dtype}{list(got.shape)}, not {want.dtype}{list(want.shape)}"
    share = TOLERANCES.get(want.dtype.name, 1e-5) if want.dtype.kind == "f" else 0
    pair = [got, want] if want.dtype.kind in "biu" else [a.astype(np.float64) for a in (got, want)]
    least = share * 1e-3 if want.dtype == np.float64 else share
    with np.errstate(invalid="ignore"):
        bad = np.argwhere(~np.isclose(*pair, rtol=share, atol=least, equal_nan=True))
    said = [f"{pair[0][tuple(at)]} at {at.tolist()}, not {pair[1][tuple(at)]}" for at in bad[:4]]
    return "; ".join(said)
