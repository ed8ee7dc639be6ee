"""onnx2tf: ONNX file → frozen TensorFlow graph, in four pure steps, compared before it is written.

`explicit_padding` → `build` → `optimise` → `retarget` → compare with onnxruntime → write. Each step
is a function of its own and can be called by itself; notebook 03 shows them one by one.
"""

import html
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import onnx

from nbhelpers import onnxgraph
from nbhelpers.convert import compat, optables
from nbhelpers.convert.build import build, is_known
from nbhelpers.convert.graphdef import op_histogram, save_graph_def
from nbhelpers.convert.optimise import optimise
from nbhelpers.convert.retarget import Rewrite, retarget
from nbhelpers.convert.run import run_tf
from nbhelpers.errors import ParityError
from nbhelpers.onnxgraph.examples import reference_runs
from nbhelpers.onnxgraph.functions import inline_functions
from nbhelpers.onnxgraph.pooling import explicit_padding
from nbhelpers.parity import TOLERANCE, Report, compare
from nbhelpers.spec import TensorSpec

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

Result = TypeVar("Result")

BATCHES = (1, 3)
"""The batch sizes at which a conversion is compared with onnxruntime."""


@dataclass(frozen=True)
class Step:
    """The graph after one step of the pipeline, counted."""

    name: str
    histogram: dict[str, int]
    seconds: float

    @property
    def nodes(self) -> int:
        """The number of nodes, constants left out."""
        return sum(count for op, count in self.histogram.items() if op != "Const")

    @property
    def transposes(self) -> int:
        """The number of Transpose nodes."""
        return self.histogram.get("Transpose", 0)


@dataclass(frozen=True)
class Conversion:
    """A converted graph: what goes in and out, what was done to it, and how well it agrees.

    `inputs` and `outputs` map ONNX names to TensorFlow tensors ("digit:0"), in ONNX order; `specs`
    has their dtypes and shapes by ONNX name; `parity` is empty if the comparison was left out.
    """

    target: str
    graph_def: "GraphDef" = field(repr=False)
    inputs: dict[str, str]
    outputs: dict[str, str]
    specs: dict[str, TensorSpec]
    steps: tuple[Step, ...]
    changes: tuple[str, ...]
    rewrites: tuple[Rewrite, ...]
    parity: tuple[Report, ...] = ()
    pb_path: Path | None = None

    @property
    def proven(self) -> bool:
        """True if the graph was compared with onnxruntime and agreed."""
        return bool(self.parity) and all(report.ok for report in self.parity)

    def __repr__(self) -> str:
        """Return tensors, steps, rewrites and parity, a line each."""
        where = f" → {self.pb_path}" if self.pb_path else ""
        lines = [f"Conversion for {self.target}{where}: {'proven' if self.proven else 'UNPROVEN'}"]
        for kind, tensors in (("input", self.inputs), ("output", self.outputs)):
            lines += [f"  {kind:<7} {t:<20} {self.specs[name]}" for name, t in tensors.items()]
        for step in self.steps:
            lines.append(
                f"  {step.name:<8} {step.nodes:5d} nodes, {step.transposes:3d} transposes, "
                f"{step.seconds:.2f} s"
            )
        lines += [f"  {change}" for change in self.changes]
        lines += [f"  {r.op} {r.change} ({r.nodes}×): {r.reason}" for r in self.rewrites]
        for report in self.parity:
            lines += ["  " + line for line in repr(report).splitlines()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def onnx2tf(
    onnx_path: str | Path | onnx.ModelProto,
    pb_path: str | Path | None,
    *,
    target: str = "tf2",
    verify: bool = True,
    tolerance: float = TOLERANCE,
) -> Conversion:
    """Convert an ONNX model to a frozen graph for `target`, and compare before anything is written.

    Args:
        onnx_path: an `.onnx` file, or a model.
        pb_path: where to write the graph; None to keep it in memory.
        target: the oldest TensorFlow that must load it: "tf1.4", "tf1.13", "tf1.15" or "tf2".
        verify: compare with onnxruntime on seeded inputs; without it the result says UNPROVEN.
        tolerance: largest difference allowed, as a share of the largest reference value.

    Raises:
        ConversionError: a node cannot be converted, or not for this target; it is named.
        ParityError: the graph computes something else; the first ONNX tensor that differs is named.
        GraphError: the file is not an ONNX model.
    """
    optables.table(target)  # a wrong target is refused before any work
    model = onnx_path if isinstance(onnx_path, onnx.ModelProto) else onnxgraph.load(onnx_path)
    conversion = _pipeline(model, target)
    if verify:
        conversion = verified(conversion, model, tolerance=tolerance)
    if pb_path is None:
        return conversion
    return written(conversion, pb_path)


def written(conversion: Conversion, pb_path: str | Path) -> Conversion:
    """Write the graph and return the conversion with its path."""
    path = save_graph_def(conversion.graph_def, pb_path)
    return replace(conversion, pb_path=path)


def verified(
    conversion: Conversion,
    model: onnx.ModelProto,
    *,
    batches: tuple[int, ...] = BATCHES,
    tolerance: float = TOLERANCE,
) -> Conversion:
    """Compare the graph with onnxruntime on seeded inputs and return it with the reports.

    Raises:
        ParityError: they differ; the message names the first ONNX tensor that does.
    """
    reports = []
    for batch, feeds, expected in reference_runs(model, batches=batches):
        report = compare(
            expected,
            run_conversion(conversion, feeds),
            tolerance=tolerance,
            title=f"{conversion.target} against onnxruntime, batch {batch}",
        )
        if not report.ok:
            raise ParityError(_explained(report, model, feeds))
        reports.append(report)
    return replace(conversion, parity=tuple(reports))


def run_conversion(
    conversion: Conversion, feeds: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Run the graph in this kernel, fed and read by ONNX names."""
    fed = {conversion.inputs[name]: value for name, value in feeds.items()}
    results = run_tf(conversion.graph_def, fed, fetch=conversion.outputs.values())
    return {name: results[tensor] for name, tensor in conversion.outputs.items()}


def _pipeline(model: onnx.ModelProto, target: str) -> Conversion:
    compat.load()
    steps: list[Step] = []
    explicit = explicit_padding(inline_functions(model, keep=is_known(model)))
    built = _timed(steps, "build", lambda: build(explicit.model))
    fast = _timed(steps, "optimise", lambda: optimise(built.graph_def, built.outputs.values()))
    fitted = _timed(steps, "retarget", lambda: retarget(fast, target, onnx_names=built.origins))
    specs = (*onnxgraph.inputs(model), *onnxgraph.outputs(model))
    return Conversion(
        target=target,
        graph_def=fitted.graph_def,
        inputs=built.inputs,
        outputs=built.outputs,
        specs={spec.name: spec for spec in specs},
        steps=tuple(steps),
        changes=explicit.changes,
        rewrites=fitted.rewrites,
    )


def _timed(steps: list[Step], name: str, work: Callable[[], Result]) -> Result:
    """Do the work and add its step: the time it took and the nodes of the graph it returned."""
    begin = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begin
    graph_def = getattr(result, "graph_def", result)
    steps.append(Step(name, op_histogram(graph_def), seconds))
    return result


def _explained(report: Report, model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> str:
    """Return the report's own sentence and, from the graph before optimisation, where it begins."""
    try:
        report.check()
    except ParityError as error:
        sentence = str(error)
    built = build(explicit_padding(model).model)
    names = [name for name in onnxgraph.tensor_names(model) if name in built.tensors]
    fed = {built.inputs[name]: value for name, value in feeds.items()}
    seen = run_tf(built.graph_def, fed, fetch=[built.tensors[name] for name in names])
    expected = onnxgraph.run_onnx(model, feeds, fetch=names)
    for name in names:
        row = compare({name: expected[name]}, {name: seen[built.tensors[name]]}).rows[0]
        if row.status != "ok":
            return (
                f"{sentence} The first ONNX tensor that differs is {name!r} ({row.note}). "
                "Nothing was written."
            )
    return f"{sentence} The graph agrees before it is optimised. Nothing was written."
