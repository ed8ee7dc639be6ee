"""Half floats inside a model. An output is no more exact than the coarsest tensor before it."""

import contextlib

import onnx

from onnxgraph.model.functions import inline_functions
from onnxgraph.model.graphs import graphs, subgraphs
from onnxgraph.model.inference import InferenceFailed, infer_shapes
from onnxgraph.model.weightless import without_weights

_HALVES = {onnx.TensorProto.FLOAT16: "float16", onnx.TensorProto.BFLOAT16: "bfloat16"}

_FROM_FINE = ("float16", "bfloat16")
"""The kinds, the coarsest last."""


def precisions(model: onnx.ModelProto) -> dict[str, str]:
    """Return the outputs computed from half floats, each with the coarsest kind of these."""
    kinds = tensor_precisions(model)
    names = [value.name for value in model.graph.output]
    return {name: kinds[name] for name in names if name in kinds}


def tensor_precisions(model: onnx.ModelProto) -> dict[str, str]:
    """Return the tensors that are half floats, or computed from them (see `precisions`)."""
    whole = inline_functions(model, keep=lambda node: True) if model.functions else model
    copy = without_weights(whole)
    with contextlib.suppress(InferenceFailed):  # stated types are still known
        copy = infer_shapes(copy)
    kinds = _kinds(copy.graph)
    for node in copy.graph.node if kinds else ():
        read = [*node.input, *node.output, *_inside(node)]
        found = [kinds[name] for name in read if name in kinds]
        if found:
            kinds.update(dict.fromkeys(node.output, max(found, key=_FROM_FINE.index)))
    return kinds


def _kinds(graph: onnx.GraphProto) -> dict[str, str]:
    """Return the half floats of a graph and of the graphs inside it."""
    kinds = {}
    for part in graphs(graph):
        for value in (*part.input, *part.value_info, *part.output):
            kinds[value.name] = value.type.tensor_type.elem_type
        kinds.update((tensor.name, tensor.data_type) for tensor in part.initializer)
    return {name: _HALVES[kind] for name, kind in kinds.items() if kind in _HALVES}


def _inside(node: onnx.NodeProto) -> list[str]:
    """Return the names of the tensors in a node's own graphs."""
    inner = (each for graph in subgraphs(node) for each in graph.node)
    return [name for each in inner for name in (*each.input, *each.output)]
