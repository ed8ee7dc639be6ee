"""What a conversion returns: the graph, the rewrites, and how well it agrees with the model."""

import functools
import html
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from graphcore.parity import Report
from graphcore.spec import TensorSpec
from tfgraph.graphs.frozen import FrozenGraph
from tfgraph.graphs.graphdef import GraphView
from tfgraph.retargeting.retarget import Rewrite

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef


NOTHING_SHOWN = (
    "Every output is empty, NaN or infinite on every example, which proves nothing. Give inputs "
    "for which the model computes something, with examples=."
)


@dataclass(frozen=True)
class Step:
    """The number of nodes of each op after one step of the pipeline."""

    name: str
    histogram: dict[str, int]
    seconds: float

    @property
    def nodes(self) -> int:
        """The number of nodes, without constants."""
        return sum(count for op, count in self.histogram.items() if op != "Const")

    @property
    def transposes(self) -> int:
        """The number of Transpose nodes."""
        return self.histogram.get("Transpose", 0)


@dataclass(frozen=True)
class Conversion:
    """A converted graph: its inputs and outputs, what was done to it, and how well it agrees.

    `inputs` and `outputs` map ONNX names to TensorFlow tensors ("digit:0"), in ONNX order.
    `tensors` does the same for every tensor that is left in the graph. `specs` maps the ONNX names
    of the inputs and outputs to their dtypes and shapes. `precisions` maps an output to the
    coarsest dtype on its way, where there are half floats. `parity` is empty if the comparison was
    skipped.
    """

    target: str
    graph: FrozenGraph = field(repr=False)
    inputs: dict[str, str]
    outputs: dict[str, str]
    specs: dict[str, TensorSpec]
    steps: tuple[Step, ...]
    rewrites: tuple[Rewrite, ...]
    tensors: dict[str, str] = field(default_factory=dict, repr=False)
    precisions: dict[str, str] = field(default_factory=dict, repr=False)
    parity: tuple[Report, ...] = ()
    pb_path: Path | None = None

    @functools.cached_property
    def graph_def(self) -> "GraphDef":
        """The graph with its weights as constants."""
        return self.graph.graph_def

    @functools.cached_property
    def view(self) -> GraphView:
        """The tensors of the graph, with placeholders for the weights."""
        return GraphView(self.graph.skeleton)

    @property
    def proven(self) -> bool:
        """Whether the graph was compared with onnxruntime, or another referee, and agreed.

        Outputs that are empty, NaN or infinite in every run prove nothing.
        """
        return all(report.ok for report in self.parity) and any(r.shows for r in self.parity)

    def __repr__(self) -> str:
        """Return tensors, steps, rewrites and parity, one per line."""
        where = f" → {self.pb_path}" if self.pb_path else ""
        lines = [f"Conversion for {self.target}{where}: {'proven' if self.proven else 'UNPROVEN'}"]
        for kind, tensors in (("input", self.inputs), ("output", self.outputs)):
            lines += [f"  {kind:<7} {t:<20} {self.specs[name]}" for name, t in tensors.items()]
        for step in self.steps:
            lines.append(
                f"  {step.name:<8} {step.nodes:5d} nodes, {step.transposes:3d} transposes, "
                f"{step.seconds:.2f} s"
            )
        lines += [f"  {r.op} {r.change} ({r.nodes}×): {r.reason}" for r in self.rewrites]
        for report in self.parity:
            lines += ["  " + line for line in repr(report).splitlines()]
        if self.parity and not self.proven:
            lines.append(f"  {NOTHING_SHOWN}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"
