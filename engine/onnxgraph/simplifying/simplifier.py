"""The simplifier as a process: its reports, and every way in which it can fail."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx

from graphcore import packages
from graphcore.errors import GraphError
from graphcore.processes import Program
from onnxgraph.model.files import load, save

ROUNDS = 8
"""The most rounds of simplification."""

WORKER = Path(__file__).with_name("simplify_worker.py")

_REPORT = "round: "


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
    complaints = source.with_name("complaints.txt")
    rounds: list[Round] = []
    with complaints.open("w", encoding="utf-8") as stderr:
        program = Program(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
        try:
            with program.process as process, program.watched(timeout):
                for line in process.stdout or ():
                    if line.startswith(_REPORT):
                        before, folded, passed, changed = map(int, line[len(_REPORT) :].split())
                        rounds.append(Round(before, folded, passed, bool(changed)))
                process.wait()
        finally:
            program.end()
    if program.late:
        raise GraphError(f"the simplifier was stopped after {timeout:g} seconds without a result.")
    if process.returncode < 0:
        raise GraphError(f"the simplifier crashed ({program.crash}).")
    if process.returncode or not target.is_file():
        said = complaints.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise GraphError(f"the simplifier failed: {(said or ['it printed nothing'])[-1]}")
    return tuple(rounds)
