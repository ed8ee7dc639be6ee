"""What was seen: verdicts counted for each entry point, and each kind of failure kept once."""

import re
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from verdicts import BAD, GOOD


@dataclass(frozen=True)
class Seen:
    """What became of a case."""

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
        """What failures of one kind share."""
        return self.entry, self.verdict, self.kind, re.sub(r":\d+ ", " ", self.place)


class Record:
    """Counts verdicts and keeps the first case of each kind of failure in a folder."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        """Nothing has been seen; `folder` is where findings go."""
        self.folder, self.seed = folder, seed
        self.counts: defaultdict[str, Counter] = defaultdict(Counter)
        self.found: dict[tuple, Seen] = {}
        self.times: Counter = Counter()

    def add(self, seen: Seen) -> None:
        """Count a case, and keep it if it fails in a new way."""
        self.counts[seen.entry][seen.verdict] += 1
        if seen.verdict in GOOD:
            return
        self.times[seen.key] += 1
        if seen.key not in self.found:
            self.found[seen.key] = seen
            self._keep(seen)

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
        if self.found:
            lines += ["", "| failure | cases | the first |", "| --- | --- | --- |"]
        for key, times in self.times.most_common():
            seen = self.found[key]
            lines.append(f"| {_told(seen)} | {times} | {seen.number} |")
        return "\n".join(lines)


def _told(seen: Seen) -> str:
    """Return a failure in a line."""
    where = f" at {seen.place}" if seen.place else ""
    return f"{seen.entry}: {seen.verdict} {seen.kind}{where} ({seen.model}: {seen.damage})"
