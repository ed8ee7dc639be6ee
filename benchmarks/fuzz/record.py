"""The results: verdicts counted for each entry point, and each kind of failure kept once."""

import json
import re
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from verdicts import BAD, GOOD


@dataclass(frozen=True)
class Seen:
    """The outcome of a case."""

    number: int
    entry: str
    folder: Path
    verdict: str
    kind: str
    place: str
    words: str
    model: str
    damage: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The common part of failures of one kind."""
        return self.entry, self.verdict, self.kind, re.sub(r":\d+ ", " ", self.place)


class Record:
    """Counts verdicts and keeps the first case of each kind of failure in a folder.

    With a journal, results are kept from run to run. A case that was good is not run again. A case
    that failed is.
    """

    def __init__(
        self, folder: Path, *, seed: int, numbers: range, journal: Path | None = None
    ) -> None:
        """Take the folder of findings, what counts, and the journal of [case, entry, verdict]."""
        self.folder, self.seed, self.journal = folder, seed, journal
        self.counts: defaultdict[str, Counter] = defaultdict(Counter)
        self.found: dict[tuple, Seen] = {}
        self.times: Counter = Counter()
        self.done, self.failed, self.mended = set[int](), set[int](), set[int]()
        for number, entry, verdict in _lines(journal):
            if number in numbers and number not in self.done:
                self._count(number, entry, verdict, again=True)

    def add(self, seen: Seen) -> None:
        """Count a case, and keep it if it fails in a new way."""
        if self.journal is not None:
            with self.journal.open("a") as file:
                file.write(json.dumps([seen.number, seen.entry, seen.verdict]) + "\n")
        self._count(seen.number, seen.entry, seen.verdict)
        if seen.verdict in GOOD:
            return
        self.times[seen.key] += 1
        if seen.key not in self.found:
            self.found[seen.key] = seen
            self._keep(seen)

    def _count(self, number: int, entry: str, verdict: str, *, again: bool = False) -> None:
        """Count a verdict.

        `again` means that this run repeats the case unless its verdict is good.
        """
        if verdict in GOOD:
            self.done.add(number)
            self.mended |= {number} & self.failed
        else:
            self.failed.add(number)
        if verdict in GOOD or not again:
            self.counts[entry][verdict] += 1

    def _keep(self, seen: Seen) -> None:
        name = re.sub(r"\W+", "_", f"{seen.entry} {seen.verdict}")
        home = self.folder / f"{name}_{seen.number}"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(seen.folder, home, symlinks=True)
        again = f"make fuzz FUZZ_ARGS='--seed {self.seed} --case {seen.number}'"
        text = f"{again}\n{_told(seen)}\n{seen.words}\n"
        (home / "seen.txt").write_bytes(text.encode(errors="replace"))
        print(f"FOUND {seen.number}: {_told(seen)}: {seen.words[:200]!r}", flush=True)

    def table(self) -> str:
        """Return the verdicts of every entry point, and the kinds of failure, as Markdown."""
        columns = (*GOOD, *BAD)
        lines = ["| entry point | cases | " + " | ".join(columns) + " |"]
        lines.append("| --- " * (2 + len(columns)) + "|")
        total: Counter = sum(self.counts.values(), Counter())
        for entry, counts in (*sorted(self.counts.items()), ("**all**", total)):
            cells = [counts.total(), *(counts[each] for each in columns)]
            lines.append(f"| {entry} | " + " | ".join(map(str, cells)) + " |")
        if self.mended:
            lines += ["", f"Of these cases, {len(self.mended)} failed until the code was mended."]
        left = sorted(self.failed - self.mended - {each.number for each in self.found.values()})
        if left:
            numbers = ", ".join(map(str, left))
            lines += ["", f"Not counted are cases that failed and did not pass since: {numbers}."]
        if self.found:
            lines += ["", "| failure | cases | the first |", "| --- | --- | --- |"]
        for key, times in self.times.most_common():
            seen = self.found[key]
            lines.append(f"| {_told(seen)} | {times} | {seen.number} |")
        return "\n".join(lines)


def _lines(journal: Path | None) -> list[tuple[int, str, str]]:
    """Return the lines of a journal."""
    if journal is None or not journal.exists():
        return []
    return [tuple(json.loads(line)) for line in journal.read_text().splitlines()]


def _told(seen: Seen) -> str:
    """Return a failure as one line."""
    where = f" at {seen.place}" if seen.place else ""
    return f"{seen.entry}: {seen.verdict} {seen.kind}{where} ({seen.model}: {seen.damage})"
