"""Insert a Flatten that is missing before Gemm, because a dense layer flattens but Gemm does
not."""

import math
from dataclasses import replace

import onnx
from onnx import helper

from graphcore.copies import copy_of
from graphcore.errors import GraphError
from onnxgraph.editing.finishing import free_name
from onnxgraph.editing.result import Edited, edited
from onnxgraph.model import interface
from onnxgraph.model.entry_check import checked
from onnxgraph.model.nodes import attributes, titled
from onnxgraph.model.value_info import inferred_graph
from onnxgraph.repairs.evidence import complaint, unchanged


@checked
def repair_missing_flatten(model: onnx.ModelProto) -> Edited:
    """Insert Flatten before each Gemm whose first input has more than two dims.

    The evidence is onnxruntime's refusal, and the shapes: the flattened input must have as many
    features as the weight. If the model has another fault too, the changes name it.

    Raises:
        GraphError: an input of a Gemm does not fit its weight even when flattened, or onnxruntime's
            refusal is the same as before.
    """
    said = complaint(model)
    if not said:
        return unchanged(model, "onnxruntime runs the model as it is")
    after = copy_of(model)
    changes, names = [], []
    while (found := _unflat(after)) is not None:
        place, shape = found
        gemm = after.graph.node[place]
        _check_features(after, gemm, shape)
        flat = free_name(after.graph, f"{gemm.input[0]}_flat")
        node = helper.make_node("Flatten", [gemm.input[0]], [flat], name=flat, axis=1)
        gemm.input[0] = flat
        after.graph.node.insert(place, node)
        shown = " × ".join("?" if size is None else str(size) for size in shape)
        changes.append(f"{titled(gemm)}: Flatten inserted before it, its input is {shown}")
        names.append(flat)
    if not changes:
        return unchanged(model, f"no Gemm has an input of more than two dims. {said}")
    result = edited(model, after, [f"evidence: {said}", *changes], names)
    left = complaint(result.model)
    if left == said:
        raise GraphError(f"Flatten before Gemm was inserted, but the fault remains: {left}")
    if not left:
        return result
    # Old files have several faults, so each repair must accept those of the others.
    remains = f"another fault remains and needs another repair: {left}"
    return replace(result, changes=(*result.changes, remains))


def _unflat(model: onnx.ModelProto) -> tuple[int, tuple[interface.Dim | None, ...]] | None:
    """Return the first Gemm whose input has more than two dims, and these dims."""
    inferred = inferred_graph(model)
    shapes = {v.name: interface.dims(v) for v in (*inferred.value_info, *inferred.input)}
    for place, node in enumerate(model.graph.node):
        shape = shapes.get(node.input[0]) if node.op_type == "Gemm" else None
        if shape is not None and len(shape) > 2:
            return place, shape
    return None


def _check_features(
    model: onnx.ModelProto, gemm: onnx.NodeProto, shape: tuple[interface.Dim | None, ...]
) -> None:
    given = attributes(gemm)
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    sizes = [size for size in shape[1:] if isinstance(size, int)]
    if gemm.input[1] not in weights or len(sizes) < len(shape) - 1 or given.get("transA", 0):
        raise GraphError(
            f"{titled(gemm)} has an input of {len(shape)} dims, but its sizes or its weight are "
            "not known. Insert the Flatten by hand where it is missing."
        )
    takes = weights[gemm.input[1]][1 if given.get("transB", 0) else 0]
    if math.prod(sizes) != takes:
        raise GraphError(
            f"{titled(gemm)} takes {takes} features, but its input has {math.prod(sizes)} when it "
            "is flattened. Look at the layer before it."
        )
