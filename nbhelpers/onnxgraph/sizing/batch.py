"""Make a fixed batch dynamic: the label on inputs and outputs, and every node that held the size.

Proven, not assumed: the result is run at several batches, and every row must be what the original
gives for that row alone. Otherwise it is refused, and all nodes that stand in the way are named.
"""

import onnx

from nbhelpers.errors import GraphError
from nbhelpers.onnxgraph import interface
from nbhelpers.onnxgraph.editing.edit import finished
from nbhelpers.onnxgraph.editing.edited import Edited
from nbhelpers.onnxgraph.functions import inline_functions
from nbhelpers.onnxgraph.light import light
from nbhelpers.onnxgraph.reference import batch_inputs
from nbhelpers.onnxgraph.sizing.batch_obstacles import refusal
from nbhelpers.onnxgraph.sizing.batch_proof import prove
from nbhelpers.onnxgraph.sizing.batch_rows import repeat_outputs
from nbhelpers.onnxgraph.sizing.batch_rules import RULES
from nbhelpers.onnxgraph.sizing.batch_shapes import forget_shapes, readable, set_first_dim
from nbhelpers.onnxgraph.sizing.batch_work import Work
from nbhelpers.onnxgraph.sizing.draft import copies
from nbhelpers.onnxgraph.sparse import dense_model
from nbhelpers.progress import stage


@stage("making the batch dynamic")
def make_batch_dynamic(model: onnx.ModelProto, *, symbol: str = "batch") -> Edited:
    """Return a model that takes any batch.

    If the batch is dynamic already its symbol stays, and only reshapes whose target is computed
    from the shape are given constant targets.

    Args:
        model: the model; it is not changed.
        symbol: what the batch dim will be called.

    Raises:
        GraphError: rows would influence each other or nodes need the fixed size; all of them are
            named, each with the reason.
    """
    model = dense_model(model)
    carriers, batch = _batch_inputs(model)
    work = Work(_private_copy(model, carriers if batch else (), symbol), carriers, batch)
    if batch:
        work.changes += [f"input {name!r}: batch {batch} → {symbol!r}" for name in carriers]
    else:
        symbol = str(_first_dims(model)[carriers[0]])
    _rewrite(model, work)
    result = work.finish()
    try:
        result = finished(_labelled(model, result, work, symbol))
        reports = prove(model, result, carriers, batch)
    except GraphError as difference:
        raise refusal(model, result, work, difference) from difference
    if not batch and not work.changes:
        result = finished(model)
    return Edited(result, model, tuple(work.changes), tuple(work.changed), reports)


def _batch_inputs(model: onnx.ModelProto) -> tuple[tuple[str, ...], int]:
    """Return the inputs that carry the batch, and its fixed size (0 if it is symbolic)."""
    first = _first_dims(model)
    if not first:
        raise GraphError("The model has no input with a batch: all its inputs are scalars.")
    symbolic = batch_inputs(model)
    if symbolic:
        return symbolic, 0
    batch = int(next(iter(first.values())))
    return tuple(name for name, dim in first.items() if dim == batch), batch


def _first_dims(model: onnx.ModelProto) -> dict[str, int | str]:
    return {spec.name: spec.shape[0] for spec in interface.inputs(model) if spec.shape}


def _private_copy(
    model: onnx.ModelProto, carriers: tuple[str, ...], symbol: str
) -> onnx.ModelProto:
    """Return a copy without calls of its own functions; with new labels if there are `carriers`."""
    if model.functions:
        model = inline_functions(model, keep=lambda node: True)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if carriers:
        forget_shapes(copy)
        set_first_dim(copy, carriers, symbol)
    return copy


def _rewrite(model: onnx.ModelProto, work: Work) -> None:
    """Apply the rules in the order of computation, so that each sees what its inputs became."""
    for node in copies(work.model.graph.node):
        if node.op_type in RULES and node.domain in ("", "ai.onnx"):
            RULES[node.op_type](work, node)
        work.add(node)
    if work.batch:
        repeat_outputs(work, [value.name for value in model.graph.output])


def _labelled(
    model: onnx.ModelProto, result: onnx.ModelProto, work: Work, symbol: str
) -> onnx.ModelProto:
    """Return the rewritten model with the batch's symbol on every tensor that has it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(result)
    inferred = onnx.shape_inference.infer_shapes(light(copy)).graph
    values = {value.name: value for value in (*inferred.value_info, *inferred.output)}
    for original, output in zip(model.graph.output, copy.graph.output, strict=True):
        shape = _output_shape(original, values[output.name], work, symbol)
        elem_type = original.type.tensor_type.elem_type
        output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, elem_type, shape))
        values.pop(output.name)
    del copy.graph.value_info[:]
    for name, value in values.items():
        dims = work.shape(name) or (None,)
        if None not in dims and value.type.HasField("tensor_type"):
            elem_type = value.type.tensor_type.elem_type
            copy.graph.value_info.append(
                onnx.helper.make_tensor_value_info(name, elem_type, readable(dims, symbol))
            )
    return copy


def _output_shape(
    original: onnx.ValueInfoProto, inferred: onnx.ValueInfoProto, work: Work, symbol: str
) -> list[int | str | None] | None:
    """Return what is known of an output: how it follows the batch, or else what the file said.

    Whether that is right is seen when the model runs.
    """
    said, guessed = interface.dims(original), interface.dims(inferred)
    if said is None:
        return None
    followed = readable(work.shape(original.name) or (None,) * len(said), symbol)
    if len(followed) != len(said):
        return followed
    if guessed is None or len(guessed) != len(said):
        guessed = (None,) * len(said)
    # Written for a fixed batch, the file knows every size; its own symbols are worth less.
    hints: list[int | str | None] = list(said) if work.batch else [None] * len(said)
    if hints and work.batch and hints[0] == work.batch:
        hints[0] = symbol
    return [
        next((dim for dim in choices if dim is not None), None)
        for choices in zip(followed, hints, guessed, said, strict=False)
    ]
