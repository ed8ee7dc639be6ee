"""Measure which of onnx's own test cases convert, for each target, on the real runtimes.

    .envs/tf/bin/python benchmarks/coverage/measure.py [--only conv,Resize] [--targets tf2,tf1.4]

The script writes README.md and a table for each target beside this file, unless --only is given.
Every case is converted without verification. The verdict compares the artefact's outputs on the
target's runtime with those that onnx's suite expects, by its own tolerances (see `atol` and
`rtol`).
"""

import argparse
import collections
import contextlib
import io
import os
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

warnings.filterwarnings("ignore")

import measure_legacy
import numpy as np
import onnx
from cases import Case, load_cases

from graphcore.errors import Refusal
from graphcore.targets import NAMES, NEWEST
from nbhelpers import convert
from tfgraph import optables

HERE = Path(__file__).resolve().parent
GOOD, REFUSED, WRONG, FAILED, EXCLUDED = "passed", "refused", "wrong", "failed", "excluded"


@dataclass
class Verdict:
    """The outcome of one case for one target."""

    case: Case
    verdict: str
    reason: str = ""


def converted(case, targets):
    """Yield (target, Conversion or the refusal) for a case."""
    for target in targets:
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                yield target, convert.onnx2tf(case.model, None, target=target, verify=False)
        except Refusal as error:
            yield target, error
        except Exception as error:
            yield target, error


def on_this_kernel(conversion, case):
    """Return the verdict of running a conversion in this process."""
    try:
        for inputs, expected in case.data:
            seen = convert.run_conversion(conversion, inputs)
            if why := difference(case, expected, seen):
                return Verdict(case, WRONG, why)
    except Exception as error:
        return Verdict(case, FAILED, f"{type(error).__name__}: {first_line(error)}")
    return Verdict(case, GOOD)


def difference(case, expected, seen):
    """Return how outputs differ from those that the suite expects, or ""."""
    for name, want in expected.items():
        got = seen[name]
        if got.shape != want.shape:
            return f"{name}: shape {got.shape}, not {want.shape}"
        if got.dtype != want.dtype:
            return f"{name}: {got.dtype}, not {want.dtype}"
        if not np.allclose(
            plain(got), plain(want), rtol=rtol(case, want), atol=atol(case, want), equal_nan=True
        ):
            worst = np.nanmax(np.abs(plain(got) - plain(want)), initial=0)
            return f"{name}: values differ by {worst:.2g}"
    return ""


def plain(array):
    """Return an array that numpy can compute with, whatever its type."""
    return array if array.dtype.kind == "c" else array.astype("float64")


def rtol(case, want):
    """Return the suite's tolerance, or two units in the last place for bfloat16 if that is more."""
    return max(case.rtol, 2**-6) if want.dtype.name == "bfloat16" else case.rtol


def atol(case, want):
    """Return the suite's tolerance, or 1e-6 of the largest value (noise) if that is more."""
    finite = np.abs(plain(want))[np.isfinite(plain(want))]
    noise = 1e-6 if want.dtype.kind == "f" else 0
    return max(case.atol, noise * np.max(finite, initial=0))


def on_legacy(target, waiting, folder):
    """Yield the verdicts of a legacy runtime on (case, conversion) pairs."""
    jobs = [(conversion, [inputs for inputs, _ in case.data]) for case, conversion in waiting]
    for (case, _), seen in zip(waiting, measure_legacy.run(target, jobs, folder)):
        if isinstance(seen, str):
            yield Verdict(case, FAILED, seen)
            continue
        whys = [difference(case, want, got) for (_, want), got in zip(case.data, seen)]
        why = next(filter(None, whys), "")
        yield Verdict(case, WRONG if why else GOOD, why)


def first_line(error):
    return next(iter(str(error).splitlines()), "")[:200]


def measure(cases, targets, progress=print):
    """Return target → verdicts, in the order of the cases."""
    results = collections.defaultdict(list)
    waiting = {target: [] for target in targets}
    for number, case in enumerate(cases):
        if number % 100 == 0:
            progress(f"{number} of {len(cases)} cases converted", file=sys.stderr)
        if case.excluded:
            for target in targets:
                results[target].append(Verdict(case, EXCLUDED, case.excluded))
            continue
        for target, result in converted(case, targets):
            if isinstance(result, Refusal):
                results[target].append(Verdict(case, REFUSED, first_line(result)))
            elif isinstance(result, Exception):
                why = f"{type(result).__name__}: {first_line(result)}"
                results[target].append(Verdict(case, FAILED, why))
            elif target == NEWEST.name:
                results[target].append(on_this_kernel(result, case))
            else:
                waiting[target].append((case, result))
    for target, pairs in waiting.items():
        if pairs:
            progress(f"{target}: running {len(pairs)} cases", file=sys.stderr)
            with tempfile.TemporaryDirectory() as folder:
                results[target] += on_legacy(target, pairs, Path(folder))
    order = {case.name: index for index, case in enumerate(cases)}
    for verdicts in results.values():
        verdicts.sort(key=lambda v: order[v.case.name])
    return results


def summary_rows(verdicts):
    """Yield (suite, counts) in a fixed order."""
    groups = collections.defaultdict(collections.Counter)
    for each in verdicts:
        groups[each.case.suite][each.verdict] += 1
    for suite in ("node", "simple", "pytorch-converted", "pytorch-operator", "light"):
        if groups[suite]:
            yield suite, groups[suite]


def write(results):
    """Write README.md and a table for each target."""
    lines = [
        "# Coverage of onnx's own test suite",
        "",
        "Made by `make coverage`. Each case is converted and run on the target's own runtime:",
        ", ".join(f"{t} is TensorFlow {optables.table(t).version}" for t in results) + ".",
        f"onnx {onnx.__version__}; `node` without the `_expanded` twins. The share is of what is",
        "not excluded; *failed* means that something other than a refusal stopped it.",
        "",
        "| target | suite | passed | refused | wrong | failed | excluded | share |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for target, verdicts in results.items():
        for suite, counts in summary_rows(verdicts):
            asked = sum(counts.values()) - counts[EXCLUDED]
            cells = [counts[kind] for kind in (GOOD, REFUSED, WRONG, FAILED, EXCLUDED)]
            lines.append(
                f"| {target} | {suite} | "
                + " | ".join(map(str, cells))
                + f" | {counts[GOOD] / max(asked, 1):.1%} |"
            )
    excluded = collections.defaultdict(list)
    for each in next(iter(results.values())):
        if each.verdict == EXCLUDED:
            excluded[each.reason].append(each.case.name)
    lines += ["", "## Excluded", ""]
    for reason, names in sorted(excluded.items()):
        lines.append(f"- {reason} ({len(names)}): {', '.join(names)}")
    (HERE / "README.md").write_text("\n".join(lines) + "\n")
    for target, verdicts in results.items():
        (HERE / f"{target}.md").write_text(table(target, verdicts))


def table(target, verdicts):
    """Return a table per op, and each case that did not pass with its reason."""
    ops = collections.defaultdict(collections.Counter)
    for each in verdicts:
        ops[each.case.op][each.verdict] += 1
    kinds = (GOOD, REFUSED, WRONG, FAILED, EXCLUDED)
    lines = [f"# {target}", "", "| op | " + " | ".join(kinds) + " |", "| --- |" + " --- |" * 5]
    for op in sorted(ops):
        lines.append(f"| {op} | " + " | ".join(str(ops[op][kind] or "") for kind in kinds) + " |")
    lines += ["", "| case | verdict | reason |", "| --- | --- | --- |"]
    for each in verdicts:
        if each.verdict not in (GOOD, EXCLUDED):
            reason = each.reason.replace("|", "\\|")
            lines.append(f"| {each.case.name} | {each.verdict} | {reason} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="parts of case names or ops, by commas")
    parser.add_argument("--suites", default="", help="by commas; all if left out")
    parser.add_argument("--targets", default=",".join(NAMES))
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    cases = load_cases()
    parts = [part for part in options.only.split(",") if part]
    if parts:
        cases = [c for c in cases if any(p in c.name or p == c.op for p in parts)]
    if options.suites:
        cases = [c for c in cases if c.suite in options.suites.split(",")]
    results = measure(cases, options.targets.split(","))
    if not parts and not options.suites and len(results) == len(NAMES):
        write(results)
    for target, verdicts in results.items():
        for each in verdicts:
            if each.verdict not in (GOOD, EXCLUDED):
                print(f"{target:7} {each.verdict:8} {each.case.name}: {each.reason}")
        for suite, counts in summary_rows(verdicts):
            print(target, suite, dict(counts))


if __name__ == "__main__":
    main()
