"""What a campaign has seen: verdicts counted, and each new failure written as a case."""

import collections
import hashlib
import os
import re
import time
from pathlib import Path

import numpy as np
import onnx
from stated import STATED


class Finding(Exception):
    """A model that goes wrong on a route."""

    def __init__(self, who, verdict, reason, model, runs, ops) -> None:
        """Keep what is needed to show it again."""
        super().__init__(f"{who}: {verdict}: {reason}")
        self.who, self.verdict, self.reason = who, verdict, reason
        self.model, self.runs, self.ops = model, runs, ops

    @property
    def route(self) -> str:
        """The route, without the runtime that ran its result."""
        return self.who.split(" on ")[0]

    @property
    def key(self) -> tuple[str, str, str]:
        """What two findings of the same kind share: the route, the verdict, and the words."""
        said = re.sub(r"[^A-Za-z ]+[\w.]*", "", self.reason)[:60]
        words = "" if self.verdict == "wrong" else said
        return self.route, self.verdict, words


class Record:
    """Counts verdicts and keeps findings in a folder."""

    def __init__(self, folder: Path) -> None:
        """Nothing has been seen; `folder` is where cases go."""
        self.folder = folder
        self.counts = collections.defaultdict(collections.Counter)
        self.reasons = collections.defaultdict(collections.Counter)
        self.found: list[Finding] = []
        self.seeds: list[int] = []
        self._start = time.monotonic()

    def count(self, who: str, verdict: str, reason: str) -> None:
        """Count a verdict of a route."""
        self.counts[who][verdict] += 1
        if verdict not in ("right", "models"):
            self.reasons[who, verdict][re.sub(r"'[^']*'|\d+", "…", reason)[:110]] += 1

    def knows(self, finding: Finding) -> bool:
        """Whether a finding of the same kind has been kept: its ops are among this one's."""
        return any(
            kept.key == finding.key and set(kept.ops) <= set(finding.ops) for kept in self.found
        )

    def keep(self, finding: Finding, seed: int) -> None:
        """Write a case: the model, its inputs, the graph as text and what was seen."""
        self.found.append(finding)
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
        """Return where the campaign is."""
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

    def write(self, path: Path, *, targets: tuple[str, ...], processor: str) -> None:
        """Write the figures as a page."""
        minutes = (time.monotonic() - self._start) / 60
        lines = [
            "# Campaign: random models through the whole product",
            "",
            "Made by `make campaign MINUTES=…`. Two referees (onnxruntime without its optimiser,",
            "onnx's reference evaluator) run each drawn model at three sizes, with special values.",
            "Then it goes through every route. An output that agrees with either referee is right.",
            "",
            f"{self.counts['drawn']['models']} models in {minutes:.0f} minutes, "
            f"{self.counts['drawn']['no referee']} more that no referee runs; "
            f"{len(self.found)} kinds of failure.",
            "",
            f"- seeds {self.seeds[0]} to {self.seeds[-1]}, targets {', '.join(targets)}",
            f"- {processor}, {os.cpu_count()} cores; TensorFlow 2 with oneDNN switched off, and on",
            "",
            "| route | right | refused | differs as stated | wrong | failed |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for who, counts in sorted(self.counts.items()):
            if who != "drawn":
                kinds = ("right", "refused", "stated", "wrong", "failed")
                cells = [counts[kind] for kind in kinds]
                lines.append(f"| {who} | " + " | ".join(map(str, cells)) + " |")
        lines += ["", "What differs on purpose, where such a value reaches such an op:", ""]
        lines += [f"- {', '.join(each.ops)}: {each.why}" for each in STATED]
        if self.found:
            lines += ["", "| kind of failure | ops | what was seen |", "| --- | --- | --- |"]
        for each in self.found:
            seen = each.reason.replace("|", "\\|")
            lines.append(f"| {each.who}: {each.verdict} | {', '.join(each.ops)} | {seen} |")
        path.write_text("\n".join(lines) + "\n")
