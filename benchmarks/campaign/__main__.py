"""Draw models until the time is over, send each through the whole product, write down failures.

    .envs/tf/bin/python benchmarks/campaign --minutes 10 [--seed 0] [--only Conv,Relu]
        [--targets tf2,tf1.4]

Hypothesis shrinks every model that goes wrong. The result is written to build/campaign/cases, with
the inputs, the graph as text and the failure. A failure with the same route and ops as an earlier
case is counted, not written.

A run keeps its counts in build/campaign/slices, by its first seed. `--write` adds the slices up and
writes benchmarks/campaign/README.md. With `--minutes 0` it does nothing else.
"""

import argparse
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "speed"), str(HERE.parents[1])]

import machine
import page
from hunt import Hunt
from record import Record

from graphcore.targets import NAMES

BUILD = HERE.parents[1] / "build" / "campaign"
"""The folders of findings and slices, unless --cases and --slices name other ones."""


def main() -> int:
    """Run a campaign and return 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--only", default="", help="ops that models are drawn of, by commas")
    parser.add_argument("--targets", default=",".join(reversed(NAMES)))
    parser.add_argument("--models", type=int, default=40, help="models of a round")
    parser.add_argument("--rounds", type=int, default=10**9, help="rounds at the most, one a seed")
    parser.add_argument("--cases", type=Path, default=BUILD / "cases")
    parser.add_argument("--slices", type=Path, default=BUILD / "slices")
    parser.add_argument("--write", action="store_true", help="add the slices up in README.md")
    options = parser.parse_args()
    record = Record(options.cases)
    only = tuple(filter(None, options.only.split(",")))
    hunt = Hunt(record, targets=tuple(options.targets.split(",")), only=only, models=options.models)
    end, seed = time.monotonic() + 60 * options.minutes, options.seed
    while time.monotonic() < end and seed < options.seed + options.rounds:
        record.seeds.append(seed)
        hunt.round(seed, end)
        seed += 1
        page.keep(options.slices, record.slice(**ran_on(hunt.routes.targets)))
        print(record.line(), flush=True)
    print(record.table())
    if options.write:
        page.write(HERE / "README.md", options.slices)
    return int(bool(record.found))


def ran_on(targets: tuple[str, ...]) -> dict:
    """Return the description of a slice: the machine, the code, and the targets."""
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=9"]
    said = subprocess.run(asked, cwd=HERE, capture_output=True, text=True)
    return {
        "code": said.stdout.strip() or "unknown",
        "targets": targets,
        "processor": machine.processor(),
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    sys.exit(main())
