"""Compare converters from ONNX to PyTorch on onnx's own cases and the models of `models.py`.

    .envs/th/bin/python benchmarks/onnx2torch/measure.py

writes both tables of README.md. `onnx2torch` must be in a folder beside the environment (see
README.md). Every converter gets each file unchanged. If one of the two third-party converters fails
on an architecture, it also gets the simplified file. `import_onnx` simplifies architectures by
itself, and gets the inputs of onnx's cases for its comparison. The script takes about eight minutes
on an idle machine.
"""

import argparse
import collections
import re
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

from graphcore.errors import Refusal
from nbhelpers import onnxgraph
from nbhelpers.train import import_onnx
from onnxgraph.examples.reference import reference_runs
from torchgraph.importing import converter

README = Path(__file__).with_name("README.md")
CONVERTERS = ("onnx2pytorch", "onnx2torch", "import_onnx")
LARGEST = 1e-7
"""A model with a mean squared error above this counts as wrong."""


def convert(name, model, examples=(), *, simplify=True):
    """Return the module that a converter makes."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if name == "import_onnx":
        return import_onnx(copy, examples=examples, simplify=simplify).module
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
    return [
        each.detach().numpy() if isinstance(each, torch.Tensor) else np.asarray(each)
        for each in made
    ]


def verdict(name, case):
    """Return "right", "wrong", or "refused" (an exception of any kind)."""
    try:
        examples = [feeds for feeds, _ in case.data]
        module = convert(name, case.model, examples, simplify=False)
        seen = [outputs(module, case.model, feeds) for feeds in examples]
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


def suite():
    """Return a table of how many cases of each suite are right, wrong and refused."""
    counts = collections.defaultdict(collections.Counter)
    for case in load_cases():
        if case.suite != "light" and not case.excluded:
            counts[case.suite]["cases"] += 1
            for name in CONVERTERS:
                counts[case.suite][name, verdict(name, case)] += 1
    yield ("Suite", "Cases", *CONVERTERS)
    for title, seen in counts.items():
        words = [
            [str(seen[name, word]) for word in ("right", "wrong", "refused")] for name in CONVERTERS
        ]
        yield (title, str(seen["cases"]), *map(", ".join, words))


def architectures(only=()):
    """Return a table of the mean squared error of each model, at batch 1 and 3."""
    yield ("Model", "variance", *CONVERTERS)
    for title in only or models.NAMES:
        model = models.model(title)
        runs = reference_runs(model)
        variance = min(float(np.var(value)) for _, _, wanted in runs for value in wanted.values())
        yield (title, f"{variance:.0e}", *(best_error(name, model, runs) for name in CONVERTERS))


def best_error(name, model, runs):
    """Return a converter's error in words.

    If the converter fails, the result for the simplified file is added.
    """
    said = error(name, model, runs)
    if re.match(r"\d", said) or name == "import_onnx":
        return said
    return f"{said}; simplified first: {error(name, onnxgraph.simplify(model).model, runs)}"


def error(name, model, runs):
    try:
        module, errors = convert(name, model), []
        for _, feeds, wanted in runs:
            pairs = [*zip(outputs(module, model, feeds), wanted.values(), strict=True)]
            if any(a.shape != b.shape for a, b in pairs):
                return "WRONG (another shape)"
            errors += [float(np.mean((a.astype(float) - b) ** 2)) for a, b in pairs]
    except Exception as raised:
        words = " ".join(str(raised).split())
        op = re.search(r"operation_type='(\w+)', version=(\d+)", words)
        said = f"it has no {op[1]}-{op[2]}" if op else f"{type(raised).__name__}: {words[:60]}"
        return f"refused ({said.strip()})"
    most = max(errors)
    return f"{most:.0e}" if most < LARGEST else f"WRONG ({most:.0e})"


def markdown(rows):
    first, *others = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([first, "| --- " * (first.count(" | ") + 1) + "|", *others])


def put(title, table):
    """Put a table into README.md, in place of the one after a heading."""
    text = README.read_text(encoding="utf-8")
    place = re.compile(rf"(## {re.escape(title)}\n.*?\n\n)\|.*?(?=\n\n)", re.S)
    changed, count = place.subn(lambda found: found[1] + table, text)
    assert count == 1, title
    README.write_text(changed, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=(), help="print these models, write nothing")
    only = parser.parse_args().only
    if only:
        print(markdown(architectures(only)))
        return
    put("onnx's own cases", markdown(suite()))
    put("The fifteen architectures", markdown(architectures()))


if __name__ == "__main__":
    main()
