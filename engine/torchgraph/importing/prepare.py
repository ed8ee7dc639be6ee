"""Prepare a file for its import: check, simplify, and collect constants."""

from pathlib import Path

import onnx
from onnx import helper

import onnxgraph
from graphcore.copies import copy_of
from graphcore.errors import GraphError
from onnxgraph.model import interface
from onnxgraph.model.functions import inline_functions
from onnxgraph.model.sparse import dense_model
from onnxgraph.repairs import fold_reshapes
from torchgraph.importing.converter import known_ops
from torchgraph.importing.nodes import OURS


def read(model: onnx.ModelProto | str | Path) -> onnx.ModelProto:
    """Return a model, or the one in a file, whose inputs and outputs are tensors.

    Raises:
        GraphError: the file is missing, cut short or not an ONNX model, or an input or output is
            not a tensor of known rank.
    """
    model = model if isinstance(model, onnx.ModelProto) else onnxgraph.load(model)
    for spec in (*interface.inputs(model), *interface.outputs(model)):
        if spec.dtype == "str":
            raise GraphError(f"{spec.name!r} holds text, but PyTorch has only tensors of numbers.")
    return model


def prepared(
    model: onnx.ModelProto, *, simplify: bool = True
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return a simpler model that computes the same, and what was changed.

    Functions that the converter does not know are replaced by their bodies. Afterwards every
    constant is an initializer.
    """
    result = inline_functions(model, keep=lambda node: node.op_type in known_ops() | OURS)
    if not simplify:
        return _with_initializers(result), (f"{len(model.graph.node)} nodes",)
    simpler = onnxgraph.simplify(result)
    folded = fold_reshapes(simpler.model)
    changes = [f"{len(model.graph.node)} → {len(folded.model.graph.node)} nodes"]
    if simpler.rolled_back:
        changes.append(f"not simplified: {simpler.reason}")
    if folded.model is not simpler.model:
        changes += folded.changes
    return _with_initializers(folded.model), tuple(changes)


def _with_initializers(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which every numeric Constant is an initializer."""
    result = copy_of(dense_model(model))
    kept = []
    for node in result.graph.node:
        value = _constant(node)
        if value is None:
            kept.append(node)
        else:
            value.name = node.output[0]
            result.graph.initializer.append(value)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del result.graph.node[:]
    result.graph.node.extend(kept)
    return result


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    if node.op_type != "Constant" or len(node.attribute) != 1:
        return None
    (attribute,) = node.attribute
    if attribute.name == "value":
        return onnx.TensorProto.FromString(attribute.t.SerializeToString())
    kinds = {"value_float": 1, "value_floats": 1, "value_int": 7, "value_ints": 7}
    if attribute.name not in kinds:
        return None
    value = helper.get_attribute_value(attribute)
    flat = list(value) if attribute.name.endswith("s") else [value]
    shape = [len(flat)] if attribute.name.endswith("s") else []
    return helper.make_tensor(node.output[0], kinds[attribute.name], shape, flat)
