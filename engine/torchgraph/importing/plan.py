"""What will compute each node, or why nothing does, known in full before the work begins."""

import html
from collections.abc import Iterable
from dataclasses import dataclass

import onnx

from graphcore.enumeration import listed
from graphcore.errors import ConversionError
from onnxgraph.model import interface
from onnxgraph.model.dataflow import reads
from onnxgraph.model.domains import is_default
from onnxgraph.model.nodes import node_name
from onnxgraph.model.obstacles import Obstacle
from torchgraph.importing.nodes import Call, call_for

NAMED = 10
"""How many nodes an error names. The table has all of them."""

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
class Plan:
    """A call for each node, in order, or an obstacle where there is no call."""

    calls: tuple[tuple[onnx.NodeProto, Call], ...]
    obstacles: tuple[Obstacle, ...]

    @property
    def ok(self) -> bool:
        """Whether every node can be computed."""
        return not self.obstacles

    def check(self) -> "Plan":
        """Return self if every node can be computed.

        Raises:
            ConversionError: some cannot. The message names them, with the reasons.
        """
        if self.ok:
            return self
        count = len(self.obstacles)
        named = listed(map(_sentence, self.obstacles), most=NAMED, separator="; ")
        begin = "An ONNX node" if count == 1 else f"{count} ONNX nodes"
        raise ConversionError(f"{begin} cannot become PyTorch: {named}.")

    def __repr__(self) -> str:
        """Return a summary, and a line for each obstacle."""
        if self.ok:
            return f"nothing stands in the way: {len(self.calls)} nodes can become PyTorch"
        lines = [f"{len(self.obstacles)} nodes cannot become PyTorch:"]
        return "\n".join(lines + [f"  {_sentence(each)}" for each in self.obstacles])

    def _repr_html_(self) -> str:
        if self.ok:
            return f"<pre>{html.escape(repr(self))}</pre>"
        rows = [("node", "op", "why", "what helps")]
        rows += [(each.node, each.op, each.why, each.help) for each in self.obstacles]
        return f"<table>{''.join(map(_html_row, rows))}</table>"


def _sentence(obstacle: Obstacle) -> str:
    return f"{obstacle.node!r} ({obstacle.op}) {obstacle.reason}"


def _html_row(texts: Iterable[str]) -> str:
    cells = (f"<td style='text-align:left'>{html.escape(text)}</td>" for text in texts)
    return f"<tr>{''.join(cells)}</tr>"


def plan(model: onnx.ModelProto) -> Plan:
    """Return what will compute each node of a model whose constants are all initializers."""
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
                refusal = str(error)
            else:
                calls.append((node, call))
                numbers.update(node.output if call.is_numbers else ())
        if refusal:
            name, help_ = node_name(node), _help(model.graph, node)
            obstacles.append(Obstacle(name, node.op_type, opset, refusal, help_))
    return Plan(tuple(calls), tuple(obstacles))


def _refusal(node: onnx.NodeProto) -> str:
    """Return why a node is refused whatever its inputs, or ""."""
    if not is_default(node):
        return f"belongs to the operator set {node.domain!r}, whose ops only its own runtime knows"
    if node.op_type in CONTROL:
        return "is control flow, which PyTorch's graphs of modules do not have"
    if node.op_type in QUANTISED:
        return "computes with quantised numbers"
    return ""


def _help(graph: onnx.GraphProto, node: onnx.NodeProto) -> str:
    """Return which part of the graph can be imported without a node, as a call."""
    if node.op_type in QUANTISED:
        return "give the model from before its quantisation"
    made = {name for each in graph.node for name in each.output}
    before = [name for name in dict.fromkeys(reads(node)) if name in made]
    if before:
        return f"import the part before it, onnxgraph.cut(model, outputs={before})"
    if not is_default(node):  # without a type no graph can begin after it
        return "export the model with ONNX's own operators"
    others = {name for each in graph.node if each is not node for name in reads(each)}
    behind = [name for name in (*node.output, *(v.name for v in graph.input)) if name in others]
    if not others.intersection(node.output):
        return "nothing but the node leads to the output"
    return f"import the part after it, onnxgraph.cut(model, inputs={behind})"
