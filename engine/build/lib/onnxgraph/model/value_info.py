"""Notes on the shapes of inner tensors and outputs, which a script may have left out of date.

Runtimes pay no heed to them; ONNX's inference believes them, or stops at them. What inference says
without any note tells which are wrong.
"""

from collections.abc import Iterable

import onnx

from onnxgraph.model import interface
from onnxgraph.model.anatomy import graphs
from onnxgraph.model.inference import InferenceFailed, infer_shapes
from onnxgraph.model.weightless import light


def infer(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a light model with all that strict inference can say; wrong notes are left out.

    Raises:
        InferenceFailed: the shapes of the nodes contradict each other.
    """
    try:
        known = _strict(model)
    except InferenceFailed:
        fresh = without_stale_notes(model)
        if fresh is model:
            raise
        return _strict(fresh)
    if model.graph.value_info and _symbols(model):  # a size beside a symbol raises no error
        fresh = without_stale_notes(model)
        known = known if fresh is model else _strict(fresh)
    return known


def inferred_graph(model: onnx.ModelProto) -> onnx.GraphProto:
    """Return the graph of a light copy with what inference can say of it; no wrong note is left."""
    return infer_shapes(without_stale_notes(light(model))).graph


def without_stale_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without notes that the graph contradicts: itself, if there are none.

    A size contradicts another one, and the symbol of an input.
    """
    bare = _copied(model)
    forget(graphs(bare.graph))
    seen = infer_shapes(bare, data_prop=True).graph
    known = {value.name: value for value in (*seen.value_info, *seen.output)}
    symbols = _symbols(model)
    stale = {
        value.name
        for value in (*model.graph.value_info, *model.graph.output)
        if value.name in known and _contradicts(value, known[value.name], symbols)
    }
    if not stale and not any(graph.value_info for graph in graphs(model.graph)[1:]):
        return model
    fresh = _copied(model)
    forget(graphs(fresh.graph)[1:])
    kept = [value for value in model.graph.value_info if value.name not in stale]
    del fresh.graph.value_info[:]
    fresh.graph.value_info.extend(kept)
    for value in fresh.graph.output:
        if value.name in stale:
            _forget_shape(value)
    return fresh


def _strict(model: onnx.ModelProto) -> onnx.ModelProto:
    return infer_shapes(model, strict_mode=True, data_prop=True)


def _contradicts(note: onnx.ValueInfoProto, seen: onnx.ValueInfoProto, symbols: set[str]) -> bool:
    """Whether a note gives another rank, or a size where the graph has another or a symbol."""
    said, found = interface.dims(note), interface.dims(seen)
    if said is None or found is None:
        return False
    return len(said) != len(found) or any(
        isinstance(one, int) and one != two and (isinstance(two, int) or two in symbols)
        for one, two in zip(said, found, strict=True)
    )


def _symbols(model: onnx.ModelProto) -> set[str]:
    """Return the symbols of the inputs."""
    values = (interface.dims(value) or () for value in model.graph.input)
    return {dim for dims in values for dim in dims if isinstance(dim, str)}


def _copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def forget(of: Iterable[onnx.GraphProto]) -> None:
    """Drop the notes of graphs, in place; their outputs keep their dtypes."""
    for graph in of:
        del graph.value_info[:]
        for value in graph.output:
            _forget_shape(value)


def _forget_shape(value: onnx.ValueInfoProto) -> None:
    if value.type.HasField("tensor_type"):
        value.type.tensor_type.ClearField("shape")
