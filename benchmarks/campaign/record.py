"""The results of a campaign: verdicts are counted, and each new failure is written as a case."""

import collections
import hashlib
import re
import time
from pathlib import Path

import numpy as np
import onnx


class Finding(Exception):
    """A model that goes wrong on a route."""

    def __init__(self, who, verdict, reason, model, runs, ops) -> None:
        """Keep the model and inputs, to show the failure again."""
        super().__init__(f"{who}: {verdict}: {reason}")
        self.who, self.verdict, self.reason = who, verdict, reason
        self.model, self.runs, self.ops = model, runs, ops

    @property
    def route(self) -> str:
        """The route, without the runtime that ran its result."""
        return self.who.split(" on ")[0]

    @property
    def key(self) -> tuple[str, str, str]:
        """The common part of findings of one kind: the route, the verdict, and the words."""
        said = re.sub(r"[^A-Za-z ]+[\w.]*", "", self.reason)[:60]
        words = "" if self.verdict == "wrong" else said
        return self.route, self.verdict, words


class Record:
    """Counts verdicts and keeps findings in a folder."""

    def __init__(self, folder: Path) -> None:
        """Start without results. `folder` is for cases."""
        self.folder = folder
        self.counts = collections.defaultdict(collections.Counter)
        self.reasons = collections.defaultdict(collections.Counter)
        self.found: list[Finding] = []
        self.seeds: list[int] = []
        self._kinds: list[dict] = []
        self._start = time.monotonic()

    def count(self, who: str, verdict: str, reason: str) -> None:
        """Count a verdict of a route."""
        self.counts[who][verdict] += 1
        if verdict not in ("right", "models"):
            self.reasons[who, verdict][re.sub(r"'[^']*'|\d+", "…", reason)[:110]] += 1

    def knows(self, finding: Finding) -> bool:
        """Whether a finding of the same kind has been kept that has no ops but these."""
        return any(
            kept.key == finding.key and set(kept.ops) <= set(finding.ops) for kept in self.found
        )

    def keep(self, finding: Finding, seed: int) -> None:
        """Write a case: the model, its inputs, the graph as text and the failure."""
        self.found.append(finding)
        self._kinds.append(
            {
                "who": finding.who,
                "verdict": finding.verdict,
                "key": list(finding.key),
                "ops": list(finding.ops),
                "reason": finding.reason,
                "models": self.counts["drawn"]["models"],
                "minutes": self.minutes(),
            }
        )
        content = finding.model.SerializeToString(deterministic=True)
        name = "-".join(finding.ops)[:50] + "-" + hashlib.sha256(content).hexdigest()[:6]
        folder = self.folder / re.sub(r"[^a-z0-9.]+", "_", finding.who.lower()) / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_bytes(content)
        for number, run in enumerate(finding.runs):
            np.savez(folder / f"in{number}.npz", **run)
        text = onnx.printer.to_text(finding.model)
        (folder / "seen.txt").write_text(f"{finding}\nseed {seed}\n\n{text}\n")
        print(f"FOUND {finding.who}: {finding.verdict}: {', '.join(finding.ops)}: "
              f"{finding.reason}", flush=True)  # fmt: skip

    def line(self) -> str:
        """Return the progress of the campaign."""
        number = self.seeds[-1] if self.seeds else "none"
        return f"seed {number}: {self.counts['drawn']['models']} models, {len(self.found)} kinds"

    def table(self) -> str:
        """Return the verdicts of every route, and the most frequent reasons."""
        lines = [self.line()]
        for who, counts in self.counts.items():
            lines.append(f"{who}: {dict(counts)}")
        for (who, verdict), reasons in self.reasons.items():
            for reason, times in reasons.most_common(6):
                lines.append(f"  {who} {verdict} {times}×: {reason}")
        return "\n".join(lines)

    def slice(self, **machine: object) -> dict:
        """Return the results so far in the form for `page.py`. `machine` is where it ran."""
        return {
            **machine,
            "seeds": [self.seeds[0], self.seeds[-1]],
            "minutes": self.minutes(),
            "models": self.counts["drawn"]["models"],
            "counts": {who: dict(counts) for who, counts in self.counts.items()},
            "kinds": self._kinds,
        }

    def minutes(self) -> float:
        """Return how long the campaign has run."""
        return (time.monotonic() - self._start) / 60
