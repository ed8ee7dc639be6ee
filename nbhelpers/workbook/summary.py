"""The table at the end of a run: every artefact, and the runtimes that it was proven on.

It is read from the record alone: the files of the stages, and the facts `proofs` and `clients` of
the stage "handoff".
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from nbhelpers.handoff import STAGES, Handoff

_MODELS = (".pb", ".onnx")


def summary(handoff: Handoff) -> str:
    """Return the table as text.

    Raises:
        HandoffError: a stage is not done.
    """
    facts = handoff.require("handoff")["facts"]
    proofs = facts.get("proofs", [])
    stages = handoff.record()["stages"]
    rows = [("artefact", "size", "sha256", "proven on", "parity")]
    for stage in STAGES:
        entry = stages[stage]
        for name, seen in sorted(entry["files"].items()):
            about = [proof for proof in proofs if _is_about(proof["artefact"], name)]
            if name.endswith(".onnx"):
                about = _by_onnxruntime(entry["parity"])
            if about or name.endswith(_MODELS):
                size, digest = _size(seen["bytes"]), seen["sha256"][:12]
                rows.append((name, size, digest, _runtimes(about), _parity(about)))
    return "\n".join(
        [
            *_aligned(rows),
            "",
            "parity: the largest difference from PyTorch, as a share of the largest output.",
            *_clients(facts.get("clients", [])),
            f"Everything is in {handoff.folder}: begin with report.html. Whoever receives the "
            "folder runs verify.py.",
        ]
    )


def _clients(trials: Sequence[Mapping]) -> list[str]:
    """Return a line for each third-party runtime that tried the files."""
    tried: dict[str, list[Mapping]] = {}
    for trial in trials:
        if trial["state"] != "not installed":
            tried.setdefault(trial["client"], []).append(trial)
    rows = [("other client", "agrees on")]
    for client, found in tried.items():
        agrees = sum(trial["state"] == "agrees" for trial in found)
        wrong = [trial["artefact"] for trial in found if trial["state"] == "DIFFERS"]
        other = f", ANOTHER RESULT on {', '.join(wrong)}" if wrong else ""
        rows.append((client, f"{agrees} of {len(found)} files{other}"))
    absent = [trial["client"] for trial in trials if trial["state"] == "not installed"]
    missing = [f"not installed (make clients): {', '.join(absent)}"] if absent else []
    return ["", *(_aligned(rows) if tried else []), *missing, ""] if trials else []


def _by_onnxruntime(reports: Iterable[Mapping]) -> list[dict]:
    """Return the comparisons of an ONNX file in the form of proofs."""
    return [
        {**row, "runtime": "onnxruntime", "ok": report["ok"]}
        for report in reports
        for row in report["rows"]
    ]


def _is_about(artefact: str, file: str) -> bool:
    """Whether `file` is the artefact, or the graph inside that SavedModel folder."""
    path = artefact.partition(":")[0]  # a signature follows the colon
    return path in (file, file.removesuffix("/saved_model.pb"))


def _runtimes(proofs: Iterable[Mapping]) -> str:
    def by_version(runtime: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", runtime)]

    return ", ".join(sorted({proof["runtime"] for proof in proofs}, key=by_version)) or "–"


def _parity(proofs: Sequence[Mapping]) -> str:
    """Return the worst verdict over all runtimes and cases."""
    if not proofs:
        return "–"
    bad = [proof for proof in proofs if not proof["ok"]]
    if bad:
        where = sorted({proof["runtime"] for proof in bad})
        return f"DIFFERS on {', '.join(where)}"
    differences = [proof["relative"] for proof in proofs if proof.get("relative") is not None]
    text = f"{max(differences):.1e}" if differences else "ok"
    labels = [proof.get("labels_agree") for proof in proofs]
    if False in labels:
        return f"{text}, LABELS DIFFER"
    return f"{text}, labels identical" if True in labels else text


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    ruled = "  ".join("-" * width for width in widths)
    return [lines[0].rstrip(), ruled, *(line.rstrip() for line in lines[1:])]
