"""The number of values in a sum or a mean over axes that follow."""

import itertools
import math

import onnx

from onnxgraph.model.nodes import attributes
from onnxgraph.sizing.dims_watched_graph import Followed

MEANS = ("ReduceMean", "GlobalAveragePool")

_SUMS = ("ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceProd")

Summed = list[tuple[str, list[int]]]
"""Tensors that a node sums over, each with the axes of the sum."""


def counts(followed: Followed, node: onnx.NodeProto) -> dict[int, str]:
    """Return the possible counts, as a number and in the form that a person writes.

    A count is a product of sizes of the tensor. At least one of these follows and is summed over.
    """
    found: dict[int, str] = {}
    for name, axes in _summed(followed, node):
        dims = followed.static(name)
        moving = {axis for axis in axes if (followed.follows(name) or ())[axis]}
        sizes = [dim or 0 for dim in dims]
        places = [axis for axis, dim in enumerate(sizes) if dim > 1]
        for count in range(1, len(places) + 1):
            for some in itertools.combinations(places, count):
                if moving.intersection(some):
                    each = [sizes[axis] for axis in some]
                    found.setdefault(math.prod(each), " × ".join(map(str, each)))
    return found


def _summed(followed: Followed, node: onnx.NodeProto) -> Summed:
    name = node.input[0] if node.input else ""
    rank = len(followed.static(name)) if name else 0
    if not rank or followed.follows(name) is None:
        return []
    given = attributes(node)
    if node.op_type == "MatMul":
        return [(name, [rank - 1])] if rank > 1 else []
    if node.op_type == "Einsum":
        return _contracted(followed, node, given["equation"].replace(" ", ""))
    if node.op_type == "CumSum":
        axis = followed.constant(node.input[1])
        return [] if axis is None else [(name, [int(axis.ravel()[0]) % rank])]
    if node.op_type == "GlobalAveragePool":
        return [(name, list(range(2, rank)))]
    if node.op_type not in (*_SUMS, *MEANS):
        return []
    axes = given.get("axes")
    if axes is None and len(node.input) > 1 and node.input[1]:
        value = followed.constant(node.input[1])
        axes = None if value is None else value.ravel().tolist()
    return [(name, [axis % rank for axis in axes or range(rank)])]


def _contracted(followed: Followed, node: onnx.NodeProto, equation: str) -> Summed:
    terms, _, result = equation.partition("->")
    if "." in equation or not result:
        return []
    return [
        (name, [axis for axis, letter in enumerate(term) if letter not in result])
        for name, term in zip(node.input, terms.split(","), strict=False)
        if followed.follows(name) is not None
    ]
