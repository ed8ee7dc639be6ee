"""Make a fixed batch dynamic: the label on inputs and outputs, and every node that held the size.

Proven, not assumed: the result is run at batch 1, 2 and 3, and every row must be what the original
gives for that row alone. Otherwise it is refused, and the node that stands in the way is named.
"""

from dataclasses import dataclass, field

import onnx

from nbhelpers import parity
from nbhelpers.errors import GraphError
from nbhelpers.onnxgraph import interface
from nbhelpers.onnxgraph.batch_proof import Differs, prove, refusal
from nbhelpers.onnxgraph.batch_rules import RULES
from nbhelpers.onnxgraph.batch_shapes import forget_shapes, infer, readable, set_first_dim
from nbhelpers.onnxgraph.batch_work import Work
from nbhelpers.onnxgraph.edit import finished, light, without_dead_parts


@dataclass(frozen=True)
class DynamicBatch:
    """The model with a dynamic batch, and in words what was rewritten for it."""

    model: onnx.ModelProto = field(repr=False)
    symbol: str
    changes: tuple[str, ...]
    reports: tuple[parity.Report, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        """Return the changes, one a line, and the proof."""
        lines = [f"Batch {self.symbol!r}: {len(self.changes) or 'nothing'} rewritten"]
        lines += [f"  {change}" for change in self.changes]
        proof = ", ".join(f"{report.title} {report.worst:.1e}" for report in self.reports)
        return "\n".join([*lines, f"  largest relative difference: {proof}"])


def make_batch_dynamic(model: onnx.ModelProto, *, symbol: str = "batch") -> DynamicBatch:
    """Return a model that takes any batch.

    If the batch is dynamic already its symbol stays, and only reshapes whose target is computed
    from the shape are given constant targets.

    Args:
        model: the model; it is not changed.
        symbol: what the batch dim will be called.

    Raises:
        GraphError: rows would influence each other or a node needs the fixed size; the node is
            named.
    """
    carriers, batch = _batch_inputs(model)
    changes = []
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if batch:
        forget_shapes(copy)
        set_first_dim(copy, carriers, symbol)
        changes = [f"input {name!r}: batch {batch} → {symbol!r}" for name in carriers]
    else:
        symbol = str(
            next(spec.shape[0] for spec in interface.inputs(model) if spec.name == carriers[0])
        )
    static = infer(model, None, carriers) if batch else {}
    work = Work(copy, carriers, batch or 1, static, changes)
    _rewrite(work)
    try:
        result = _labelled(model, work, symbol)
        reports = prove(model, result, carriers, batch)
    except Differs as difference:
        raise refusal(model, work, carriers, batch, difference) from difference
    if not batch and not changes:
        result = finished(model)
    return DynamicBatch(result, symbol, tuple(work.changes), reports)


def _batch_inputs(model: onnx.ModelProto) -> tuple[tuple[str, ...], int]:
    """Return the inputs that carry the batch, and its fixed size (0 if it is symbolic)."""
    specs = [spec for spec in interface.inputs(model) if spec.shape]
    if not specs:
        raise GraphError("The model has no input with a batch: all its inputs are scalars.")
    symbolic = [spec for spec in specs if isinstance(spec.shape[0], str)]
    if symbolic:
        return tuple(spec.name for spec in symbolic), 0
    batch = int(specs[0].shape[0])
    return tuple(spec.name for spec in specs if spec.shape[0] == batch), batch


def _rewrite(work: Work) -> None:
    """Apply the rules in the order of computation, so that each sees what its inputs became."""
    work.refresh()
    done: set[str] = set()
    while True:
        node = next(
            (n for n in work.graph.node if n.op_type in RULES and n.output[0] not in done), None
        )
        if node is None:
            return
        done.add(node.output[0])
        _pass_outer(work, node)
        if RULES[node.op_type](work, node):
            work.refresh()


def _pass_outer(work: Work, until: onnx.NodeProto) -> None:
    """Carry along, up to a node, how many values vary slower than the batch within its dim."""
    for node in work.graph.node:
        if node is until or node == until:
            return
        if node.op_type != "Reshape":
            seen = [work.outer[name] for name in node.input if name in work.outer]
            work.outer.update((name, seen[0]) for name in node.output if seen)


def _labelled(model: onnx.ModelProto, work: Work, symbol: str) -> onnx.ModelProto:
    """Return the rewritten model, cleaned, with the batch's symbol on every tensor that has it."""
    result = without_dead_parts(work.model)
    work.refresh()
    inferred = onnx.shape_inference.infer_shapes(light(result))
    values = {value.name: value for value in (*inferred.graph.value_info, *inferred.graph.output)}
    for original, output in zip(model.graph.output, result.graph.output, strict=True):
        shape = _output_shape(original, values[output.name], work, symbol)
        elem_type = original.type.tensor_type.elem_type
        output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, elem_type, shape))
        values.pop(output.name)
    for name, value in values.items():
        dims = work.shapes.get(name, (None,))
        if None not in dims and value.type.HasField("tensor_type"):
            elem_type = value.type.tensor_type.elem_type
            result.graph.value_info.append(
                onnx.helper.make_tensor_value_info(name, elem_type, readable(dims, symbol))
            )
    try:
        return finished(result)
    except GraphError as error:
        raise Differs(str(error)) from error


def _output_shape(
    original: onnx.ValueInfoProto, inferred: onnx.ValueInfoProto, work: Work, symbol: str
) -> list[int | str | None] | None:
    """Return what is known of an output: how it follows the batch, or else what the file said.

    Whether that is right is seen when the model runs.
    """
    said, guessed = interface.dims(original), interface.dims(inferred)
    if said is None:
        return None
    followed = readable(work.shapes.get(original.name, (None,) * len(said)), symbol)
    if len(followed) != len(said):
        return followed
    if guessed is None or len(guessed) != len(said):
        guessed = (None,) * len(said)
    # Written for a fixed batch, the file knows every size; its own symbols are worth less.
    hints = list(said) if work.static else [None] * len(said)
    if hints and hints[0] == work.batch and work.static:
        hints[0] = symbol
    return [
        next((dim for dim in choices if dim is not None), None)
        for choices in zip(followed, hints, guessed, said, strict=False)
    ]
