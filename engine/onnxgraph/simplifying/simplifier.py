"""The simplifier as a process: its reports, and every way in which it can fail."""

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx

from graphcore import packages, processes
from graphcore.errors import GraphError
from onnxgraph.model.files import load, save

ROUNDS = 8
"""The most rounds of simplification."""

WORKER = Path(__file__).with_name("simplify_worker.py")

_REPORT = re.compile(r"round: (\d+) (\d+) (\d+) (\d)$", re.MULTILINE)


@dataclass(frozen=True)
class Round:
    """The node counts of one round: at its start, after constant folding, after the passes."""

    before: int
    folded: int
    passed: int
    changed: bool

    def __str__(self) -> str:
        """Return the counts in words."""
        if not self.changed:
            return f"{self.before} nodes, and nothing changes any more"
        return (
            f"{self.before} → {self.folded} nodes by inferring shapes and folding constants, "
            f"→ {self.passed} by the optimiser's passes"
        )


def run_simplifier(
    model: onnx.ModelProto, *, timeout: float
) -> tuple[onnx.ModelProto, tuple[Round, ...]]:
    """Return the simplified model, and the rounds that it took.

    Raises:
        GraphError: the simplifier is not installed, crashed, failed, hung, or wrote no model.
    """
    if not packages.has("onnxsim"):
        raise GraphError("onnxsim is not installed in this environment. Use the kernel 'train'.")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.onnx"), Path(folder, "out.onnx")
        save(model, source)
        rounds = _run(source, target, timeout)
        return load(target), rounds


def _run(source: Path, target: Path, timeout: float) -> tuple[Round, ...]:
    # -P keeps the worker's folder off the module path, because its modules have common names.
    command = [sys.executable, "-P", str(WORKER), str(source), str(target), str(ROUNDS)]
    done = processes.run(command, limit=timeout)
    if done.late:
        raise GraphError(f"the simplifier was stopped after {done.late} without a result.")
    if done.ending:
        raise GraphError(f"the simplifier {done.ending.rstrip('.')}.")
    if not target.is_file():
        raise GraphError(f"the simplifier wrote no model; it printed last: {done.last_line}")
    return tuple(_round(*map(int, counts)) for counts in _REPORT.findall(done.output))


def _round(before: int, folded: int, passed: int, changed: int) -> Round:
    return Round(before, folded, passed, bool(changed))
