"""Slices of a campaign, each from a run of its own, added up on one page.

A slice is a JSON file that a run writes after each round (`Record.slice`). The slices of one folder
are one campaign, each with other seeds. If the code changed in between, the page says so.
"""

import collections
import json
from pathlib import Path

from stated import STATED

from graphcore.atomic_files import write_text

VERDICTS = ("right", "refused", "stated", "wrong", "failed")


def keep(folder: Path, seen: dict) -> None:
    """Write a slice into a folder, by its first seed."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{seen['seeds'][0]}.json", json.dumps(seen, indent=1) + "\n")


def write(path: Path, folder: Path) -> None:
    """Add the slices of a folder up, and write the page.

    Raises:
        SystemExit: the folder has no slices.
    """
    slices = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    if not slices:
        raise SystemExit(f"There is no slice in {folder}: run the campaign first.")
    write_text(path, page(sorted(slices, key=lambda each: each["seeds"])))


def page(slices: list[dict]) -> str:
    """Return the page of some slices, in the order of their seeds."""
    counts: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for each in slices:
        for who, verdicts in each["counts"].items():
            counts[who].update(verdicts)
    kinds, models, minutes = _new(slices)
    drawn = counts.pop("drawn")
    lines = [
        "# Campaign: random models through the whole product",
        "",
        "Made by `make campaign MINUTES=…`. Two referees (onnxruntime without its optimiser,",
        "onnx's reference evaluator) run each drawn model at three sizes, with special values.",
        "Then it goes through every route. An output that agrees with either referee is right.",
        "",
        f"{drawn['models']} models in {sum(each['minutes'] for each in slices):.0f} minutes, "
        f"{drawn['no referee']} more that no referee runs; {len(kinds)} kinds of failure.",
        f"The last {models} models ({minutes:.0f} minutes) brought no new kind.",
        "",
        *_ran_on(slices),
        "",
        f"| route | {' | '.join(VERDICTS).replace('stated', 'differs as stated')} |",
        "| --- " * (len(VERDICTS) + 1) + "|",
    ]
    for who, verdicts in sorted(counts.items()):
        cells = [str(verdicts[verdict]) for verdict in VERDICTS]
        lines.append(f"| {who} | {' | '.join(cells)} |")
    lines += ["", "What differs on purpose, where such a value reaches such an op:", ""]
    lines += [f"- {', '.join(each.ops)}: {each.why}" for each in STATED]
    if kinds:
        lines += ["", "| kind of failure | in the code | ops | what was seen |"]
        lines += ["| --- | --- | --- | --- |"]
    for each in kinds:
        seen = each["reason"].replace("|", "\\|")
        what = f"{each['who']}: {each['verdict']}"
        lines.append(f"| {what} | {each['code']} | {', '.join(each['ops'])} | {seen} |")
    return "\n".join(lines) + "\n"


def _ran_on(slices: list[dict]) -> list[str]:
    machines = dict.fromkeys(
        f"- targets {', '.join(each['targets'])}; {each['processor']}, {each['cores']} cores; "
        "TensorFlow 2 with oneDNN switched off, and on"
        for each in slices
    )
    seeds = ", ".join(f"{first} to {last}" for first, last in (each["seeds"] for each in slices))
    code = ", ".join(dict.fromkeys(each["code"] for each in slices))
    return [f"- seeds {seeds}; code {code}", *machines]


def _new(slices: list[dict]) -> tuple[list[dict], int, float]:
    """Return each kind once, and the models and minutes after the last new one."""
    kinds: list[dict] = []
    models, minutes = 0, 0.0
    for each in slices:
        last_models, last_minutes = 0, 0.0
        for kind in each["kinds"]:
            if not any(_same(known, kind) for known in kinds):
                kinds.append(kind | {"code": each["code"]})
                models, minutes = 0, 0.0
                last_models, last_minutes = kind["models"], kind["minutes"]
        models += each["models"] - last_models
        minutes += each["minutes"] - last_minutes
    return kinds, models, minutes


def _same(known: dict, kind: dict) -> bool:
    return known["key"] == kind["key"] and set(known["ops"]) <= set(kind["ops"])
