"""Give damaged files to every verb that reads files, and record every failure.

    .envs/tf/bin/python benchmarks/fuzz --cases 40000 [--seed 0] [--first 0] [--only cost,onnx2tf]
    .envs/tf/bin/python benchmarks/fuzz --seed 0 --case 1234

A case is drawn from the seed and its own number, so it can be run again alone. Each kind of failure
is written once to build/fuzz/findings, with the files that show it. `--write` puts the figures into
README.md. With `--journal FILE` a stopped run continues, and cases that failed before are run
again.
"""

import argparse
import datetime
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT), str(ROOT / "engine")]

from entries import ENTRIES, PLANTED
from hunt import Hunt
from record import Record

FINDINGS = ROOT / "build" / "fuzz" / "findings"
"""The folder of findings, unless --findings names another one."""

MARK = "<!-- measured -->\n"


def main() -> int:
    """Run the cases and return 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--case", type=int, help="run this case alone, and show what it says")
    parser.add_argument("--only", default="", help="entry points, by commas")
    parser.add_argument("--environment", choices=("th", "tf"), help="those of one environment")
    parser.add_argument("--minutes", type=float, default=10**6, help="stop after so long")
    parser.add_argument("--limit", type=float, default=60, help="seconds that a case may take")
    parser.add_argument("--planted", action="store_true", help="faults on purpose, to be seen")
    parser.add_argument("--findings", type=Path, default=FINDINGS)
    parser.add_argument("--journal", type=Path, help="a file of verdicts, to go on with a run")
    parser.add_argument("--write", action="store_true", help="write the figures into README.md")
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")  # some terminals lack characters
    only = set(filter(None, options.only.split(",")))
    known = PLANTED if options.planted else ENTRIES
    entries = tuple(
        each
        for each in known
        if (not only or each.name in only) and options.environment in (None, each.environment)
    )
    numbers = range(options.first, options.first + options.cases)
    record = Record(options.findings, seed=options.seed, numbers=numbers, journal=options.journal)
    end = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        hunt = Hunt(Path(folder), seed=options.seed, limit=options.limit)
        if options.case is not None:
            seen = hunt.case(options.case, entries)
            shutil.copytree(seen.folder, options.findings / str(seen.number), dirs_exist_ok=True)
            print(seen)
            return 0
        for number in numbers:
            if time.monotonic() > end:
                break
            if number in record.done:
                continue
            record.add(hunt.case(number, entries))
            if number % 1000 == 999:
                print(f"{number + 1} cases, {len(record.found)} kinds of failure", flush=True)
    print(record.table())
    if options.write:
        _write(record)
    return int(bool(record.found))


def _write(record: Record) -> None:
    """Put the figures into README.md."""
    path = HERE / "README.md"
    text = path.read_text(encoding="utf-8").partition(MARK)[0]
    made = f"`{' '.join(['benchmarks/fuzz', *sys.argv[1:]])}`, {datetime.date.today()}, {_cpu()}."
    path.write_text(f"{text}{MARK}\n{made}\n\n{record.table()}\n", encoding="utf-8")


def _cpu() -> str:
    """Return the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    sys.exit(main())
