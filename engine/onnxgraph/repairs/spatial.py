"""Repair BatchNormalization with `spatial`, which MXNet's exporter set wrongly and opset 9
removed."""

import math
from dataclasses import replace

import onnx

from graphcore.copies import copy_of
from onnxgraph.editing.proof import same
from onnxgraph.editing.result import Edited, edited
from onnxgraph.model.entry_check import checked
from onnxgraph.model.nodes import node_name, titled
from onnxgraph.repairs.evidence import complaint, unchanged


@checked
def repair_spatial(model: onnx.ModelProto) -> Edited:
    """Remove `spatial` from BatchNormalization if its statistics are per channel in any case.

    The evidence is in the file: spatial=0 asks for a mean of every pixel, which has rank 2 or more.
        If
    the mean does have that rank, the node is left unchanged.

    Raises:
        GraphError: the model is also broken in another way.
    """
    after = copy_of(model)
    ranks = {tensor.name: len(tensor.dims) for tensor in after.graph.initializer}
    changes, names, left = [], [], []
    for node in after.graph.node:
        given = [a for a in node.attribute if a.name == "spatial"]
        if node.op_type != "BatchNormalization" or not given:
            continue
        rank = ranks.get(node.input[3], math.inf)
        if rank != 1 and not given[0].i:
            left.append(f"{titled(node)} has spatial=0, and its mean is indeed per pixel")
            continue
        node.attribute.remove(given[0])
        changes.append(
            f"{titled(node)}: spatial={given[0].i} removed, because its mean is per channel"
        )
        names.append(node_name(node))
    if not changes:
        return unchanged(model, *(left or ["no BatchNormalization has the attribute spatial"]))
    said = complaint(model)
    evidence = f"evidence: {said}" if said else "evidence: the mean has one value per channel"
    result = edited(model, after, [evidence, *changes, *left], names)
    return result if said else replace(result, reports=same(model, result.model))
