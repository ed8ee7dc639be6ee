"""Label every tensor that has the batch with its symbol, in a model given a dynamic batch."""

import onnx

from graphcore.copies import copy_of
from onnxgraph.model import interface
from onnxgraph.model.value_info import inferred_graph
from onnxgraph.sizing.batch_shapes import readable
from onnxgraph.sizing.batch_state import Work


def labelled(
    model: onnx.ModelProto, result: onnx.ModelProto, work: Work, symbol: str
) -> onnx.ModelProto:
    """Return the rewritten model with the batch's symbol on every tensor that has it."""
    copy = copy_of(result)
    inferred = inferred_graph(copy)
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
    """Return the type of an output: how it follows the batch, or else what the file stated.

    A run of the model shows whether that is right.
    """
    said, guessed = interface.dims(original), interface.dims(inferred)
    if said is None:
        return None
    followed = readable(work.shape(original.name) or (None,) * len(said), symbol)
    if len(followed) != len(said):
        return followed
    if guessed is None or len(guessed) != len(said):
        guessed = (None,) * len(said)
    # The file was written for a fixed batch, so it knows every size and its own symbols tell less.
    hints: list[int | str | None] = list(said) if work.batch else [None] * len(said)
    if hints and work.batch and hints[0] == work.batch:
        hints[0] = symbol
    return [
        next((dim for dim in choices if dim is not None), None)
        for choices in zip(followed, hints, guessed, said, strict=False)
    ]
