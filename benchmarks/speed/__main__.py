"""Measure conversion and graphs against others: `python benchmarks/speed [parts] [--only names]`.

The parts are export, conversion, latency, without_onednn, answer, legacy, growth and report. If no
part is named, all of them run, and then benchmarks/RESULTS.md is written. If some parts or networks
are named, the results of the others are kept, and the report goes to build/bench.
"""

import argparse
import subprocess
import sys
import time

import processes
import results
from catalogue import MODELS, ON_OLD_RUNTIMES
from processes import OUT

PARTS = (
    "export", "conversion", "latency", "without_onednn", "answer", "legacy", "growth", "report",
)  # fmt: skip
RESULTS = processes.HERE.parent / "RESULTS.md"


def main():
    parser = argparse.ArgumentParser(prog="benchmarks/speed", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--only", default="", help="networks, parted by commas")
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"there is no part {part!r}; the parts are {', '.join(PARTS)}")
    names = options.only.split(",") if options.only else list(MODELS)
    for name in names:
        if name not in MODELS:
            parser.error(f"there is no network {name!r}; there are {', '.join(MODELS)}")
    whole = not options.parts and not options.only
    if whole:
        results.forget()
    for part in options.parts or PARTS:
        begin = time.perf_counter()
        run(part, names, RESULTS if whole else OUT / "RESULTS.md")
        say(f"{part}: {time.perf_counter() - begin:.0f} s")


def run(part, names, path):
    """Run one part."""
    import conversion
    import first_answer
    import growth
    import latency
    import old_runtimes
    import report
    import without_onednn

    OUT.mkdir(parents=True, exist_ok=True)
    if part == "export":
        export(names)
    elif part == "growth":
        growth.measure()
    elif part == "report":
        report.write(path)
        say(f"written: {path.relative_to(processes.ROOT)}")
    else:
        if part == "conversion":
            conversion.baseline()
        measure, measured = {
            "conversion": (conversion, MODELS),
            "latency": (latency, MODELS),
            "without_onednn": (without_onednn, without_onednn.NETWORKS),
            "answer": (first_answer, first_answer.NETWORKS),
            "legacy": (old_runtimes, ON_OLD_RUNTIMES),
        }[part]
        for name in [name for name in names if name in measured]:
            begin = time.perf_counter()
            measure.measure(name)
            say(f"{part}: {name} ({time.perf_counter() - begin:.0f} s)")


def export(names):
    """Export the networks whose files are missing."""
    processes.MODELS.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names if not (processes.MODELS / f"{name}.done").exists()]
    if missing:
        script = processes.HERE / "networks_to_measure.py"
        command = [processes.python("architectures"), script, processes.MODELS, *missing]
        with (OUT / "export.log").open("w") as log:  # the exporter's error messages are long
            subprocess.run(
                [str(part) for part in command], env=processes.environ(), stdout=log, check=True
            )


def say(line):
    """Print a line of progress at once."""
    print(f"bench: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
