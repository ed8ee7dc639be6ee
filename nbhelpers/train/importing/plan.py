"""What will compute each node, or why nothing does: all of it is known before the work begins."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx

from nbhelpers.errors import ConversionError
from nbhelpers.onnxgraph import interface
from nbhelpers.train.importing.nodes import Call, call_for

NAMED = 10
"""How many nodes an error names; the table has them all."""

CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})

QUANTISED = frozenset(
    {
        "ConvInteger",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
        "QuantizeLinear",
    }
)


@dataclass(frozen=True)
class Obstacle:
    """One ONNX node that no module can be made of: `why`, and what would `help`."""

    node: str
    op: str
    why: str
    help: str

    def __str__(self) -> str:
        """Return one sentence without its full stop."""
        return f"{self.node!r} ({self.op}) {self.why}; {self.help}"


@dataclass(frozen=True)
class Plan:
    """A call for each node in order; where there is none, an obstacle instead."""

    calls: tuple[tuple[onnx.NodeProto, Call], ...]
    obstacles: tuple[Obstacle, ...]

    @property
    def ok(self) -> bool:
        """Whether every node can be computed."""
        return not self.obstacles

    def check(self) -> "Plan":
        """Return self if every node can be computed.

        Raises:
            ConversionError: some cannot; the sentence names them, with the reasons.
        """
        if self.ok:
            return self
        count = len(self.obstacles)
        named = "; ".join(map(str, self.obstacles[:NAMED]))
        begin = "An ONNX node" if count == 1 else f"{count} ONNX nodes"
        more = f"; and {count - NAMED} more" if count > NAMED else ""
        raise ConversionError(f"{begin} cannot become PyTorch: {named}{more}.")

    def __repr__(self) -> str:
        """Return a sentence, and a line for each obstacle."""
        if self.ok:
            return f"nothing stands in the way: {len(self.calls)} nodes can become PyTorch"
        lines = [f"{len(self.obstacles)} nodes cannot become PyTorch:"]
        return "\n".join(lines + [f"  {each}" for each in self.obstacles])

    def _repr_html_(self) -> str:
        if self.ok:
            return f"<pre>{html.escape(repr(self))}</pre>"
        rows = [("node", "op", "why", "what helps"), *(vars(o).values() for o in self.obstacles)]
        return f"<table>{''.join(map(_html_row, rows))}</table>"


def _html_row(texts: Iterable[str]) -> str:
    cells = (f"<td style='text-align:left'>{html.escape(text)}</td>" for text in texts)
    return f"<tr>{''.join(cells)}</tr>"


def plan(model: onnx.ModelProto) -> Plan:
    """Return what will compute each node of a model all of whose constants are initializers."""
    weights = {each.name: each for each in model.graph.initializer}
    opset, numbers = interface.opset(model), set[str]()
    calls: list[tuple[onnx.NodeProto, Call]] = []
    obstacles: list[Obstacle] = []
    for node in model.graph.node:
        refusal = _refusal(node)
        if not refusal:
            try:
                call = call_for(node, weights, numbers, opset)
            except ConversionError as error:
                refusal = (str(error), "change the node, or the program that wrote it")
            else:
                calls.append((node, call))
                numbers.update(node.output if call.is_numbers else ())
        if refusal:
            obstacles.append(Obstacle(_called(node.name, node.output), node.op_type, *refusal))
    return Plan(tuple(calls), tuple(obstacles))


def _refusal(node: onnx.NodeProto) -> tuple[str, str] | tuple[()]:
    """Return why a node is refused whatever its inputs, and what helps."""
    if node.domain not in ("", "ai.onnx"):
        why = f"belongs to the operator set {node.domain!r}, whose ops only its own runtime knows"
        return why, "export the model with ONNX's own operators"
    if node.op_type in CONTROL:
        why = "is control flow, which PyTorch's graphs of modules do not have"
        return why, "export the branch or the loop that is wanted by itself"
    if node.op_type in QUANTISED:
        return "computes with quantised numbers", "give the model from before its quantisation"
    return ()


def _called(name: str, outputs: Sequence[str]) -> str:
    return name or next(filter(None, outputs), "")
