"""Value infos of inner tensors and outputs, which a script may have left out of date.

Runtimes ignore them. ONNX's inference believes them, or stops at them. Inference without any value
info shows which are wrong.
"""

from collections.abc import Iterable

import onnx

from graphcore.copies import copy_of
from onnxgraph.model import interface
from onnxgraph.model.graphs import graphs
from onnxgraph.model.inference import InferenceFailed, infer_shapes
from onnxgraph.model.weightless import without_weights


def infer(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a weightless model after strict inference, without wrong value infos.

    Raises:
        InferenceFailed: the shapes of the nodes contradict each other.
    """
    try:
        known = _strict(model)
    except InferenceFailed:
        fresh = without_wrong_value_info(model)
        if fresh is model:
            raise
        return _strict(fresh)
    if model.graph.value_info and _symbols(
        model
    ):  # a size in the place of a symbol raises no error
        fresh = without_wrong_value_info(model)
        known = known if fresh is model else _strict(fresh)
    return known


def inferred_graph(model: onnx.ModelProto) -> onnx.GraphProto:
    """Return the inferred graph of a weightless copy, without wrong value infos."""
    return infer_shapes(without_wrong_value_info(without_weights(model))).graph


def without_wrong_value_info(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without value infos that the graph contradicts, or itself if there are none.

    A size contradicts another size, and the symbol of an input.
    """
    bare = copy_of(model)
    forget(graphs(bare.graph))
    seen = infer_shapes(bare, data_prop=True).graph
    known = {value.name: value for value in (*seen.value_info, *seen.output)}
    symbols = _symbols(model)
    wrong = {
        value.name
        for value in (*model.graph.value_info, *model.graph.output)
        if value.name in known and _contradicts(value, known[value.name], symbols)
    }
    if not wrong and not any(graph.value_info for graph in graphs(model.graph)[1:]):
        return model
    fresh = copy_of(model)
    forget(graphs(fresh.graph)[1:])
    kept = [value for value in model.graph.value_info if value.name not in wrong]
    del fresh.graph.value_info[:]
    fresh.graph.value_info.extend(kept)
    for value in fresh.graph.output:
        if value.name in wrong:
            _forget_shape(value)
    return fresh


def _strict(model: onnx.ModelProto) -> onnx.ModelProto:
    return infer_shapes(model, strict_mode=True, data_prop=True)


def _contradicts(note: onnx.ValueInfoProto, seen: onnx.ValueInfoProto, symbols: set[str]) -> bool:
    """Whether a value info has another rank, or a size where the graph has another or a symbol."""
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


def forget(of: Iterable[onnx.GraphProto]) -> None:
    """Remove the value infos of graphs, in place. Their outputs keep their dtypes."""
    for graph in of:
        del graph.value_info[:]
        for value in graph.output:
            _forget_shape(value)


def _forget_shape(value: onnx.ValueInfoProto) -> None:
    if value.type.HasField("tensor_type"):
        value.type.tensor_type.ClearField("shape")
