"""Axes: an input since opset 13 or 18, an attribute before, and negative only since opset 11."""

from collections.abc import Callable

import numpy as np

from onnxgraph.lowering.node_rewriter import NodeRewriter, NotLowered
from onnxgraph.lowering.widened_ops import keep

ELEMENTWISE = {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"}
"""Reductions that return their input unchanged if they reduce no axis."""


def reduction(node: NodeRewriter) -> None:
    """Write the axes of a reduction, a constant input, as an attribute."""
    attributes = node.attributes(without=["noop_with_empty_axes"])
    axes = _axes(node)
    if len(axes):
        node.give(node.proto.op_type, node.input(0), axes=axes, **attributes)
    elif not node.attribute("noop_with_empty_axes", 0):
        node.give(node.proto.op_type, node.input(0), **attributes)
    elif node.proto.op_type in ELEMENTWISE:
        node.give("Identity", node.input(0))
    else:
        raise NotLowered(
            "it reduces over no axis, which the older op cannot say; put there what it makes of a "
            "single value with onnxgraph.replace, as Abs for ReduceL1"
        )


def squeeze(node: NodeRewriter) -> None:
    """Write the axes of a Squeeze or Unsqueeze as an attribute."""
    axes = _axes(node)
    if node.input(1) and not axes:
        raise NotLowered("its axes are empty; remove the node")
    node.give(node.proto.op_type, node.input(0), axes=axes or None)


def _axes(node: NodeRewriter) -> list[int]:
    return np.ravel(node.known(1, "axes")).tolist() if node.input(1) else []


def split(node: NodeRewriter) -> None:
    """Write the sizes of a Split, a constant input, as an attribute."""
    sizes = node.known(1, "sizes").tolist() if node.input(1) else None
    node.give("Split", node.input(0), split=sizes, **node.attributes())


def split_into(node: NodeRewriter) -> None:
    """Write `num_outputs` of a Split as sizes. The last of them may be smaller."""
    count = node.attribute("num_outputs")
    if count is None:
        return keep(node)
    axis = node.attribute("axis", 0)
    size = node.size(axis)
    chunk = -(-size // count)
    sizes = [chunk] * (count - 1) + [size - chunk * (count - 1)]
    return node.give("Split", node.input(0), sizes, axis=axis)


def not_negative(*names: str, added: int = 0) -> Callable[[NodeRewriter], None]:
    """Return the rule that makes the axes in these attributes count from the front.

    Args:
        names: the attributes, each of which holds one axis or several.
        added: how many more dims the axes count than the first input has.
    """

    def rule(node: NodeRewriter) -> None:
        counted: dict[str, int | list[int]] = {}
        for name in names:
            value = node.attribute(name)
            if isinstance(value, int) and value < 0:
                counted[name] = value + node.rank() + added
            elif isinstance(value, list) and min(value, default=0) < 0:
                rank = node.rank() + (len(value) if node.proto.op_type == "Unsqueeze" else added)
                counted[name] = [axis % rank for axis in value]
        keep(node, **counted)

    return rule


def of_scan(node: NodeRewriter) -> None:
    """Refuse a Scan with negative axes."""
    for name in ("scan_input_axes", "scan_output_axes"):
        if min(node.attribute(name, [0]), default=0) < 0:
            raise NotLowered(f"its {name} are negative; count them from the front")
    keep(node)


REDUCTIONS = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
)

RULES = {
    **{(op, 18): reduction for op in REDUCTIONS},
    ("ReduceSum", 13): reduction,
    ("Squeeze", 13): squeeze,
    ("Unsqueeze", 13): squeeze,
    ("Split", 18): split_into,
    ("Split", 13): split,
    **{(op, 11): not_negative("axes") for op in (*REDUCTIONS, "ReduceSum", "Squeeze", "Unsqueeze")},
    **{(op, 11): not_negative("axis") for op in ("Concat", "Flatten", "Split", "Compress")},
    **{(op, 11): not_negative("axis") for op in ("Hardmax", "LogSoftmax", "Softmax")},
    ("Scan", 11): of_scan,
}
