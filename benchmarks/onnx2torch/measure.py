"""Run a converter on onnx's own cases and on the models of `models.py`, as it comes.

    .envs/th/bin/python benchmarks/onnx2torch/measure.py onnx2pytorch suite
    .envs/th/bin/python benchmarks/onnx2torch/measure.py onnx2pytorch models

Converters: onnx2pytorch, onnx2torch (put it beside the environment first, see README.md) and ours,
`nbhelpers.train.import_onnx`. A line for each suite, or for each model.
"""

import argparse
import collections
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT),
    str(ROOT / "benchmarks" / "coverage"),
    str(ROOT / "build" / "onnx2torch"),
]

import models
import numpy as np
import onnx
import torch
from cases import load_cases

from nbhelpers.errors import Refusal
from nbhelpers.onnxgraph.examples import reference_runs
from nbhelpers.train import import_onnx
from nbhelpers.train.importing import converter


def convert(name, model):
    """Return a module made by a converter."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if name == "ours":
        return import_onnx(copy, simplify=False).module
    with converter._stand_ins():
        if name == "onnx2pytorch":
            from onnx2pytorch import ConvertModel

            return ConvertModel(copy).eval()
        import onnx2torch

        return onnx2torch.convert(copy).eval()


def outputs(module, model, feeds):
    """Return the module's outputs as arrays, in order."""
    names = [value.name for value in model.graph.input if value.name in feeds]
    with torch.no_grad():
        made = module(*(torch.from_numpy(np.array(feeds[name])) for name in names))
    made = [made] if isinstance(made, torch.Tensor) else made
    return [each.numpy() if isinstance(each, torch.Tensor) else np.asarray(each) for each in made]


def verdict(name, case):
    """Return "right", "wrong", or "refused" (an exception of any kind)."""
    try:
        module = convert(name, case.model)
        seen = [outputs(module, case.model, feeds) for feeds, _ in case.data]
    except (Exception, Refusal):
        return "refused"
    for made, (_, wanted) in zip(seen, case.data):
        if len(made) != len(wanted) or not all(map(agree, made, wanted.values())):
            return "wrong"
    return "right"


def agree(seen, wanted):
    if seen.shape != wanted.shape or seen.dtype != wanted.dtype:
        return False
    return np.allclose(
        seen.astype(complex), wanted.astype(complex), rtol=1e-3, atol=1e-5, equal_nan=True
    )


def suite(name):
    """Print how many cases of each suite are right, wrong and refused."""
    counts = collections.defaultdict(collections.Counter)
    for case in load_cases():
        if case.suite != "light" and not case.excluded:
            counts[case.suite][verdict(name, case)] += 1
    for each, seen in counts.items():
        print(f"| {each} | {sum(seen.values())} | {dict(seen)} |", flush=True)


def each_model(name, only):
    """Print the mean squared error of each model, at batch 1 and 3."""
    for title in only or models.NAMES:
        model = models.model(title)
        try:
            module, errors = convert(name, model), []
            for _, feeds, wanted in reference_runs(model):
                made = outputs(module, model, feeds)
                pairs = zip(made, wanted.values())
                errors += [float(np.mean((a.astype(float) - b) ** 2)) for a, b in pairs]
            said = f"{max(errors):.1e}"
        except Exception as error:
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
        print(f"| {title} | {said} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("converter", choices=["onnx2pytorch", "onnx2torch", "ours"])
    parser.add_argument("what", choices=["suite", "models"])
    parser.add_argument("--only", nargs="*", help="names of models")
    options = parser.parse_args()
    if options.what == "suite":
        suite(options.converter)
    else:
        each_model(options.converter, options.only)


if __name__ == "__main__":
    main()
