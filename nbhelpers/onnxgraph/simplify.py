"""Simplify a graph: fold what is constant, remove what does nothing, until nothing changes.

The work is done by onnxsim in a process of its own, which may crash or hang without harm. The
result is run against the original by onnxruntime; if it differs in anything, the original is what
you get.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from nbhelpers import kernel, parity
from nbhelpers.errors import GraphError, ParityError
from nbhelpers.onnxgraph import interface
from nbhelpers.onnxgraph.edit import finished
from nbhelpers.onnxgraph.files import load, save
from nbhelpers.onnxgraph.proof import TOLERANCE, same

TIMEOUT = 300.0
"""Seconds after which the simplifier is taken to hang."""

ROUNDS = 8

_WORKER = Path(__file__).with_name("simplify_worker.py")


@dataclass(frozen=True)
class Simplified:
    """The model that came out, and what happened. `reason` says why it was rolled back, if it
    was.
    """

    model: onnx.ModelProto = field(repr=False)
    nodes_before: int
    nodes_after: int
    rounds: int
    rolled_back: bool = False
    reason: str = ""
    reports: tuple[parity.Report, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        """Return one line: node counts and rounds, or why nothing was changed."""
        if self.rolled_back:
            came = f"the {self.nodes_before} nodes that came in"
            return f"Simplified: rolled back to {came}; {self.reason}"
        rounds = f"{self.rounds} round{'' if self.rounds == 1 else 's'}"
        proof = ", ".join(f"{report.title} {report.worst:.1e}" for report in self.reports)
        return (
            f"Simplified: {self.nodes_before} → {self.nodes_after} nodes in {rounds}; "
            f"largest relative difference: {proof}"
        )


def simplify(
    model: onnx.ModelProto, *, timeout: float = TIMEOUT, tolerance: float = TOLERANCE
) -> Simplified:
    """Return a simpler model that computes the same, or the same model and the reason.

    Symbolic dims, and the names and order of inputs and outputs, stay as they are.

    Args:
        model: the model; it is not changed.
        timeout: seconds that the simplifier may take.
        tolerance: largest difference allowed, as a share of the largest value of each output.
    """
    before = len(model.graph.node)
    try:
        simpler, rounds = _simplify_elsewhere(model, timeout)
        _check_interface(model, simpler)
        simpler = finished(simpler)
        reports = same(model, simpler, tolerance=tolerance)
    except ParityError as error:
        reason = f"the simplified model computes something else: {error}"
        return Simplified(model, before, before, 0, rolled_back=True, reason=reason)
    except GraphError as error:
        return Simplified(model, before, before, 0, rolled_back=True, reason=str(error))
    return Simplified(simpler, before, len(simpler.graph.node), rounds, reports=reports)


def _simplify_elsewhere(model: onnx.ModelProto, timeout: float) -> tuple[onnx.ModelProto, int]:
    if not kernel.has("onnxsim"):
        raise GraphError("onnxsim is not installed in this environment; use the kernel 'train'.")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.onnx"), Path(folder, "out.onnx")
        save(model, source)
        # -P keeps the folder of the worker, whose modules have common names, off the module path.
        command = [sys.executable, "-P", str(_WORKER), str(source), str(target), str(ROUNDS)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise GraphError(
                f"the simplifier was stopped after {timeout:g} seconds without a result."
            ) from error
        if done.returncode < 0:
            raise GraphError(f"the simplifier crashed (signal {-done.returncode}).")
        if done.returncode or not target.is_file():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise GraphError(f"the simplifier failed: {last}")
        return load(target), int(done.stdout.split("rounds")[-1])


def _check_interface(model: onnx.ModelProto, simpler: onnx.ModelProto) -> None:
    for kind, read in (("inputs", interface.inputs), ("outputs", interface.outputs)):
        was, now = read(model), read(simpler)
        if kind == "inputs":
            same = was == now
        else:  # inference may know more about an output than the file said
            same = [spec.name for spec in was] == [spec.name for spec in now]
        if not same:
            raise GraphError(
                f"the simplifier changed the {kind} from {', '.join(map(str, was))} "
                f"to {', '.join(map(str, now))}."
            )
