"""Axes: an input since opset 13 or 18, an attribute before; negative ones only since opset 11."""

from collections.abc import Callable

import numpy as np

from onnxgraph.lowering.node_rewriter import Obstacle, Site
from onnxgraph.lowering.widened import keep

ELEMENTWISE = {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"}
"""Reductions over no axis at all that give back what they got."""


def reduction(site: Site) -> None:
    """Write the axes of a reduction, a constant input, as an attribute."""
    attributes = site.attributes(without=["noop_with_empty_axes"])
    axes = _axes(site)
    if len(axes):
        site.give(site.node.op_type, site.input(0), axes=axes, **attributes)
    elif not site.attribute("noop_with_empty_axes", 0):
        site.give(site.node.op_type, site.input(0), **attributes)
    elif site.node.op_type in ELEMENTWISE:
        site.give("Identity", site.input(0))
    else:
        raise Obstacle(
            "it reduces over no axis, which the older op cannot say; put there what it makes of a "
            "single value with onnxgraph.replace, as Abs for ReduceL1"
        )


def squeeze(site: Site) -> None:
    """Write the axes of a Squeeze or Unsqueeze as an attribute."""
    axes = _axes(site)
    if site.input(1) and not axes:
        raise Obstacle("its axes are empty; remove the node")
    site.give(site.node.op_type, site.input(0), axes=axes or None)


def _axes(site: Site) -> list[int]:
    return np.ravel(site.known(1, "axes")).tolist() if site.input(1) else []


def split(site: Site) -> None:
    """Write the sizes of a Split, a constant input, as an attribute."""
    sizes = site.known(1, "sizes").tolist() if site.input(1) else None
    site.give("Split", site.input(0), split=sizes, **site.attributes())


def split_into(site: Site) -> None:
    """Write `num_outputs` of a Split as sizes, the last of which may be smaller."""
    count = site.attribute("num_outputs")
    if count is None:
        return keep(site)
    axis = site.attribute("axis", 0)
    size = site.size(axis)
    chunk = -(-size // count)
    sizes = [chunk] * (count - 1) + [size - chunk * (count - 1)]
    return site.give("Split", site.input(0), sizes, axis=axis)


def not_negative(*names: str, added: int = 0) -> Callable[[Site], None]:
    """Return the rule that counts these attributes from the front.

    Args:
        names: axes, a number or several.
        added: how many dims more than the first input they count.
    """

    def rule(site: Site) -> None:
        counted: dict[str, int | list[int]] = {}
        for name in names:
            value = site.attribute(name)
            if isinstance(value, int) and value < 0:
                counted[name] = value + site.rank() + added
            elif isinstance(value, list) and min(value, default=0) < 0:
                rank = site.rank() + (len(value) if site.node.op_type == "Unsqueeze" else added)
                counted[name] = [axis % rank for axis in value]
        keep(site, **counted)

    return rule


def of_scan(site: Site) -> None:
    """Refuse a Scan with negative axes."""
    for name in ("scan_input_axes", "scan_output_axes"):
        if min(site.attribute(name, [0]), default=0) < 0:
            raise Obstacle(f"its {name} are negative; count them from the front")
    keep(site)


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
