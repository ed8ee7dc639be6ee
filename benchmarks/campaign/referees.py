"""The right outputs of a model, by two referees: onnxruntime without its optimiser, and onnx.

An output is right if it agrees with either of them. Rounding may explain a difference as large as
the one between the referees. It may also explain one as large as a change in the last digit of the
inputs causes.
"""

from dataclasses import dataclass

import numpy as np
import onnx
import stated
from workers import Failed, Worker

from graphcore.worker_process import Ended

TOLERANCE = 1e-4
"""The difference allowed, relative to a value and to the largest value of its output."""

MODERATE = 100.0
"""A value of an output larger than this does not widen the tolerance of the others."""

COARSE = {"float16": 2.0**-7}
"""The least tolerance of a dtype."""

NUDGE = 6e-7
"""The largest relative change of an input value, made to see the effect of rounding."""

REFEREES = ("onnxruntime", "reference")


class NoReferee(Exception):
    """No referee runs the model."""


@dataclass(frozen=True)
class Expected:
    """The outputs of each run by each referee that runs the model, and the possible rounding.

    `excuses` are the stated differences that are allowed in each run.
    """

    by: dict[str, list[dict[str, np.ndarray]]]
    noise: list[dict[str, np.ndarray | float]]
    excuses: list[list[stated.Stated]]

    def difference(self, number: int, outputs: dict[str, np.ndarray]) -> str:
        """Return how the outputs of a run differ from every referee, or ""."""
        first = ""
        for runs in self.by.values():
            found = self._apart(number, runs[number], outputs)
            if not found:
                return ""
            first = first or found
        return first

    def _apart(self, number: int, expected: dict, outputs: dict) -> str:
        for name, want in expected.items():
            if name not in outputs:
                return f"{name} is missing"
            if found := apart(want, outputs[name], self.noise[number][name]):
                return f"{name}: {found} (run {number})"
        return ""


def apart(want: np.ndarray, seen: np.ndarray, noise: np.ndarray | float = 0.0) -> str:
    """Return how two arrays differ, or "" if they agree."""
    if want.shape != seen.shape:
        return f"shape {seen.shape}, not {want.shape}"
    if want.dtype != seen.dtype:
        return f"{seen.dtype}, not {want.dtype}"
    if want.dtype.kind != "f":
        wrong = want != seen
    else:
        wrong = ~(_off(want, seen) <= _allowed(want) + noise)
    if not wrong.any():
        return ""
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{seen[place]} at {place}, not {want[place]} ({int(wrong.sum())} of {wrong.size})"


def _allowed(want: np.ndarray) -> np.ndarray:
    sizes = np.where(np.isfinite(want), np.abs(want.astype(np.float64)), 0)
    tolerance = max(TOLERANCE, COARSE.get(want.dtype.name, 0))
    return tolerance * (sizes + min(sizes.max(initial=0), MODERATE)) + 1e-6


def _off(want: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the difference of each element.

    It is infinite where only one is NaN or infinite.
    """
    want, seen = want.astype(np.float64), seen.astype(np.float64)
    same = (want == seen) | (np.isnan(want) & np.isnan(seen))
    with np.errstate(invalid="ignore"):
        off = np.where(same, 0.0, np.abs(want - seen))
    return np.where(np.isnan(off), np.inf, off)


class Referees:
    """The processes of the two referees."""

    def __init__(self) -> None:
        """Prepare the processes. Nothing is started yet."""
        self.workers = {name: Worker("tf", "worker_onnx.py") for name in REFEREES}

    def run(self, model: onnx.ModelProto, runs: list[dict], *, by: str) -> list[dict]:
        """Return the outputs of each run by one referee.

        Raises:
            Failed, Ended: the referee does not run the model.
        """
        return self.begin(model, runs, by=by)()

    def begin(self, model: onnx.ModelProto, runs: list[dict], *, by: str):
        """Start the work of `run`, and return a function that waits for the result."""
        files = {"model.onnx": model.SerializeToString()}
        return self.workers[by].begin(files, {"by": by}, runs)

    def expected(self, model: onnx.ModelProto, runs: list[dict], *, exact: bool) -> Expected:
        """Return the right outputs of a model. `exact` means that nothing in it rounds.

        Raises:
            NoReferee: no referee runs the model.
        """
        by, said = {}, []
        for name in REFEREES:
            try:
                by[name] = self.run(model, runs, by=name)
            except (Failed, Ended) as error:
                said.append(f"{name}: {error}")
        if not by:
            raise NoReferee("; ".join(said))
        return Expected(by, self._noise(model, runs, by, exact), self._excuses(model, runs, by))

    def _excuses(self, model, runs, by):
        seen = [{} for _ in runs]
        for name in by if stated.watched(model) else ():
            try:
                seen = self.run(stated.showing(model), runs, by=name)
                break
            except (Failed, Ended):
                continue
        return [stated.excuses(model, run | each) for run, each in zip(runs, seen, strict=True)]

    def _noise(self, model, runs, by, exact):
        first = next(iter(by.values()))
        noise = [{name: np.zeros(v.shape) for name, v in run.items()} for run in first]
        if exact:
            return noise
        others = [outputs for name, outputs in by.items() if outputs is not first]
        for seed in range(2):
            moved = [{n: _moved(a, seed) for n, a in run.items()} for run in runs]
            try:
                others.append(self.run(model, moved, by=next(iter(by))))
            except (Failed, Ended):
                continue
        for outputs in others:
            for number, run in enumerate(first):
                for name, want in run.items():
                    seen = outputs[number][name]
                    if want.dtype.kind == "f" and want.shape == seen.shape:
                        noise[number][name] += 10 * _off(want, seen)
        return noise


def _moved(array: np.ndarray, seed: int) -> np.ndarray:
    """Return the array with a different relative change of each value, so that no two cancel."""
    if array.dtype.kind != "f":
        return array
    shares = np.random.default_rng(seed).uniform(-NUDGE, NUDGE, array.shape)
    return (array * (1 + shares)).astype(array.dtype)
