"""Search for wrong results: onnx's own node cases with other values and sizes, on every runtime.

    .envs/tf/bin/python benchmarks/coverage/special.py [--only conv,TopK] [--variants hidden,ties]

Each case is changed by a variant, converted for each target without verification, and run in a
default session of the target's own runtime (TensorFlow 2 with oneDNN and without). A result counts
as wrong if it agrees neither with onnxruntime without its optimiser, nor with onnx's reference
implementation. If neither accepts the model, the case is left out. The script prints the wrong
results and the failures.
"""

import argparse
import collections
import tempfile
import zlib
from pathlib import Path

import measure
import measure_legacy
import numpy as np
import onnx
import referees
from cases import load_cases

from graphcore.errors import Refusal
from graphcore.targets import NAMES, NEWEST

LARGE = 3e38
IR_VERSION = 10
"""The newest IR version that onnxruntime certainly accepts."""

VALUES = {
    "ties": [0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 1.0],
    "nonfinite": [np.nan, np.inf, -np.inf, 1.0, -2.0, 0.3, 0.7, -0.1],
    "extreme": [LARGE, -LARGE, 1e6, -1e6, 1.0, -0.0],
    "equal": [0.25],
    "zeros": [0.0],
}
"""Variant → the values from which floats are drawn."""


def seeded(case):
    return np.random.default_rng(zlib.crc32(case.name.encode()))


def drawn(array, values, random):
    """Return an array of the same shape and type, drawn from values, if it holds floats."""
    if array.dtype.kind != "f" or not array.size:
        return array
    with np.errstate(over="ignore"):
        return np.asarray(random.choice(values, array.shape)).astype(array.dtype)


def other_values(case, variant):
    """Return the model and two runs: with all floats drawn, and with only the first input's."""
    random, inputs = seeded(case), case.data[0][0]
    values = VALUES[variant]
    everything = {name: drawn(array, values, random) for name, array in inputs.items()}
    first = next(iter(inputs))
    return case.model, [everything, {**inputs, first: everything[first]}]


def hidden(case, _):
    """Return the model with a first input of unknown sizes and the other inputs as constants."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    data, *rest = model.graph.input
    for axis, dim in enumerate(data.type.tensor_type.shape.dim):
        dim.dim_param = f"d{axis}"
    inputs = dict(case.data[0][0])
    for value in rest:
        constant = onnx.numpy_helper.from_array(inputs.pop(value.name), value.name)
        model.graph.initializer.append(constant)
        model.graph.input.remove(value)
    del model.graph.value_info[:]
    for value in model.graph.output:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            dim.dim_param = f"{value.name}{axis}"
    return model, [inputs]


def empty(case, _):
    """Return the model with the first axis of the first input empty, and all axes of that size."""
    model, _ = hidden(case, _)
    inputs = dict(case.data[0][0])
    name = model.graph.input[0].name
    return model, [{name: inputs[name][:0]}]


def ones(case, _):
    """Return the model with one axis after another of the first input cut to size one."""
    model, (inputs,) = hidden(case, _)
    ((name, data),) = inputs.items()
    cut = [data.take([0], axis) for axis in range(data.ndim) if data.shape[axis] > 1]
    return model, [{name: each} for each in cut]


VARIANTS = {**dict.fromkeys(VALUES, other_values), "hidden": hidden, "empty": empty, "ones": ones}


def jobs(cases, variants):
    """Yield (name, model, runs) for every case and variant that applies."""
    for case in cases:
        if case.excluded or not case.data or not case.data[0][0]:
            continue
        for variant in variants:
            if variant in VALUES and not any(v.dtype.kind == "f" for v in case.data[0][0].values()):
                continue
            if (
                VARIANTS[variant] is not other_values
                and next(iter(case.data[0][0].values())).ndim == 0
            ):
                continue
            model, runs = VARIANTS[variant](case, variant)
            model.ir_version = min(model.ir_version, IR_VERSION)
            yield f"{case.name} {variant}", model, runs


def unlike(expected, seen):
    """Return how outputs differ from the expected ones, or "". NaN equals NaN."""
    for name, want in expected.items():
        got = seen[name]
        if got.shape != want.shape or got.dtype != want.dtype:
            return f"{name}: {got.dtype}{got.shape}, not {want.dtype}{want.shape}"
        rough = {"bfloat16": 2e-2, "float16": 4e-3}.get(want.dtype.name, 1e-4)
        pair = measure.plain(got), measure.plain(want)
        with np.errstate(invalid="ignore"):
            close = np.isclose(*pair, rtol=rough, atol=rough, equal_nan=True)
        if not close.all():
            at = np.argwhere(~close)[0]
            return f"{name}{at.tolist()}: {pair[0][tuple(at)]!r}, not {pair[1][tuple(at)]!r}"
    return ""


def verdict(wanted, seen):
    """Return how the outputs of one run differ from every referee's, or ""."""
    said = [unlike(each, seen) for each in wanted]
    return "" if not all(said) or not said else " | ".join(dict.fromkeys(said))


def search(todo, targets, folder):
    """Print the wrong results for each job on each target."""
    answered = referees.run(todo, folder / "referees")
    asked = [
        (
            name,
            model,
            [run for run, said in zip(runs, answers) if said],
            list(filter(None, answers)),
        )
        for (name, model, runs), answers in zip(todo, answered)
        if any(answers)
    ]
    print(f"{len(asked)} of {len(todo)} models are taken by a referee", flush=True)
    for target in targets:
        made, kept = [], []
        for name, model, runs, want in asked:
            try:
                made.append(
                    (measure.convert.onnx2tf(model, None, target=target, verify=False), runs)
                )
                kept.append((name, want))
            except Refusal as error:
                print(f"{target:7} refused {name}: {measure.first_line(error)}", flush=True)
            except Exception as error:
                print(f"{target:7} CRASHED {name}: {error!r}", flush=True)
        for setting in "01" if target == NEWEST.name else " ":
            place, options = folder / f"{target}{setting}", {}
            if target == NEWEST.name:
                options = {"TF_ENABLE_ONEDNN_OPTS": setting}
            for (name, want), seen in zip(kept, measure_legacy.run(target, made, place, **options)):
                if isinstance(seen, str):
                    print(f"{target}{setting} FAILED {name}: {seen}", flush=True)
                    continue
                for number, (each, got) in enumerate(zip(want, seen)):
                    if why := verdict(each, got):
                        print(f"{target}{setting} WRONG {name} run {number}: {why}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="parts of case names or ops, by commas")
    parser.add_argument("--most", type=int, default=1000, help="cases of one op")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--targets", default=",".join(NAMES))
    options = parser.parse_args()
    cases = [case for case in load_cases() if case.suite == "node"]
    parts = [part for part in options.only.split(",") if part]
    if parts:
        cases = [c for c in cases if any(p in c.name or p == c.op for p in parts)]
    seen = collections.Counter()
    cases = [c for c in cases if (seen.update([c.op]), seen[c.op])[1] <= options.most]
    with tempfile.TemporaryDirectory() as folder:
        todo = list(jobs(cases, options.variants.split(",")))
        search(todo, options.targets.split(","), Path(folder))


if __name__ == "__main__":
    main()
