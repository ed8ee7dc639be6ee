"""Turn a client's answers into a `Trial`: its outputs compared with the golden ones, or a
reason."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from graphcore import parity
from graphcore.golden import Case
from nbhelpers.convert.clients.process import last_line
from nbhelpers.convert.clients.trial import ABSENT, AGREES, DIFFERS, FAILED, Trial
from nbhelpers.convert.proving.artefacts import Artefact

_LONGEST = 300


def judged(
    client: str,
    artefact: Artefact,
    cases: Sequence[Case],
    scratch: Path,
    stopped: str,
    *,
    tolerance: float,
) -> Trial:
    """Return the trial.

    Args:
        client: the client's name.
        artefact: the artefact that it was given.
        cases: the golden cases.
        scratch: the folder with its answers and its log.
        stopped: how its process ended, in words, or "" for success.
        tolerance: the largest difference allowed, as a share of the largest value.
    """
    answers = _answers(scratch / "answers")
    said = {name: value for answer in answers for name, value in answer.items()}
    steps = [answer["step"] for answer in answers if "step" in answer]
    known = {answer["step"]: answer["outputs"] for answer in answers if "outputs" in answer}
    reports = [
        _compared(artefact, case, known[case.name], tolerance)
        for case in cases
        if case.name in known
    ]
    rows = [row for report in reports for row in report.rows]
    bad = next((report for report in reports if not report.ok), None)
    reason = _reason(said, steps, stopped, scratch / "log")
    if bad is not None:
        row = bad.rows[0]
        state, reason = DIFFERS, f"{bad.title}: {row.name}: {row.status} {row.note}"
    elif "missing" in said:
        state = ABSENT
    else:
        state = FAILED if reason or not reports else AGREES
    labels = [row.labels_agree for row in rows if row.labels_agree is not None]
    return Trial(
        artefact=artefact.path,
        client=f"{client} {said.get('version', '')}".strip(),
        state=state,
        signature=artefact.signature,
        cases=tuple(known),
        relative=max((r.relative for r in rows if np.isfinite(r.relative)), default=None),
        labels_agree=all(labels) if labels else None,
        reason=_plain(reason, scratch),
        latency_ms=said.get("latency_ms"),
    )


def _answers(path: Path) -> list[dict]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [
        json.loads(line) for line in lines if line.endswith("}")
    ]  # the last line may be cut off


def _compared(artefact: Artefact, case: Case, file: str, tolerance: float) -> parity.Report:
    """Compare the outputs of one case that the artefact has. A signature may have only some."""
    expected = {name: case.outputs[name] for name in artefact.outputs}
    with np.load(file) as arrays:
        outputs = {name: _widened(arrays[name], expected.get(name)) for name in arrays.files}
    return parity.compare(
        expected, outputs, tolerance=tolerance, title=case.name, precisions=artefact.precisions
    )


def _widened(value: np.ndarray, golden: np.ndarray | None) -> np.ndarray:
    """Return integers in the golden dtype, because a client that has only int32 is not wrong."""
    if golden is None or not {value.dtype.kind, golden.dtype.kind} <= set("iu"):
        return value
    return value.astype(golden.dtype) if np.can_cast(value.dtype, golden.dtype) else value


def _reason(said: dict, steps: Iterable[str], stopped: str, log: Path) -> str:
    """Return why the client did not finish, and at which step."""
    if "missing" in said:
        return said["missing"]
    done = list(steps)
    where = f"after {done[-1]}" if done[1:] else "when it ran" if done else "when it loaded"
    if stopped:
        return f"{stopped}, {where}"
    if "error" in said:
        return f"{where}: {said['error'] or last_line(log)}"
    return ""


def _plain(reason: str, scratch: Path) -> str:
    """Return a reason on one line, without colours and without paths of this machine."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", reason).replace(f"{scratch}/", "")
    text = re.sub(r"(?<![\w.])/(?:[\w.@+-]+/)+", "", " ".join(text.split()))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
