"""Rules that let any batch through: for sizes, targets and ranges written for one batch.

Each rule takes the work and a private copy of a node before the node is written, and changes the
copy where needed. The proof judges what the rules leave unchanged. `batch_rows` has the rules for
constants that must follow the batch.
"""

import math
from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper

from onnxgraph.model.nodes import attributes
from onnxgraph.sizing.batch_row_indices import own_rows, picked, scatter
from onnxgraph.sizing.batch_rows import (
    alongside,
    bias,
    concat,
    matching,
    one_row,
    products,
    recurrent,
    summed,
)
from onnxgraph.sizing.batch_shapes import Rows, Shape, counts, reshape_axis, rows_axis
from onnxgraph.sizing.batch_state import Work

Rule = Callable[[Work, onnx.NodeProto], None]

END = np.iinfo(np.int64).max
"""The end of a Slice that takes everything up to the last value."""


def reshape(work: Work, node: onnx.NodeProto) -> None:
    """Give a Reshape the target [-1, sizes…], so that it takes any batch and needs no Shape op."""
    if len(node.input) < 2:  # up to opset 4 the target is an attribute
        return
    was = work.constant(node.input[1])
    target = _any_target(work, node) if was is None else _fixed_target(work, node)
    if target is None or (was is not None and list(was) == target):
        return
    seen = "a computed target" if was is None else f"target {[int(dim) for dim in was]}"
    node.input[1] = work.weight(np.array(target, np.int64), f"{node.output[0]}_target")
    work.note(node, f"{seen} → {target}")


def _any_target(work: Work, node: onnx.NodeProto) -> list[int] | None:
    """Return the sizes after a Reshape, one of them -1, if at most one is unknown."""
    work.preview(node)
    shape = work.shape(node.output[0])
    if shape is None or 0 in shape:  # 0 would mean "copy" in a target
        return None
    target = [dim if isinstance(dim, int) else -1 for dim in shape]
    return target if target.count(-1) <= 1 else None


def _fixed_target(work: Work, node: onnx.NodeProto) -> list[int] | None:
    """Return the target with -1 in the place of the batch, for sizes written for a fixed batch."""
    shape = work.shape(node.input[0])
    if shape is None or rows_axis(shape) is None:
        return None
    sizes = _any_target(work, node)
    if not work.batch:
        return sizes
    fixed = work.static(node.output[0]) or (None,)
    static = [dim for dim in fixed if isinstance(dim, int) and dim > 0]
    if len(static) < len(fixed):
        return _copied_target(work, node, shape)
    outer = work.outer.get(node.input[0], 1)
    axis = reshape_axis(shape, outer, static, work.batch)
    if axis is None:
        return None
    slower = math.prod(counts(shape)[: rows_axis(shape)]) * outer
    work.outer[node.output[0]] = slower // math.prod(static[:axis])
    return [-1 if place == axis else dim for place, dim in enumerate(static)]


def _copied_target(work: Work, node: onnx.NodeProto, shape: Shape) -> list[int] | None:
    """Return the target with 0, which copies the first size, where symbols hide the other sizes."""
    was = work.constant(node.input[1])
    if was is None or any(each.i for each in node.attribute):
        return None
    first, *rest = was.tolist()
    return [0, *rest] if first == work.batch and -1 in rest and shape[0] == Rows(1) else None


def expand(work: Work, node: onnx.NodeProto) -> None:
    """Let an Expand to a fixed batch above 1 keep the batch of its input or of its target."""
    data, target = node.input
    was, rows = work.constant(target), rows_axis(work.sizes(target))
    shape, fixed = work.shape(data), work.static(data)
    if not shape or not fixed or work.batch < 2:
        return
    axis = rows_axis(shape)
    offset = len(work.sizes(target) or ()) - len(shape)
    if was is not None and axis is not None and offset >= 0 and was[axis + offset] != 1:
        new = was.copy()
        new[axis + offset] = 1
        node.input[1] = work.weight(new, f"{node.output[0]}_target")
        work.note(node, f"target {was.tolist()} → {new.tolist()}")
    elif rows is not None and rows >= offset and work.stuck(data, rows - offset):
        one = one_row(work, data, rows - offset)
        if one:
            node.input[0] = one
            work.note(node, f"{data!r} of batch {work.batch} → one row of it")


def resize(work: Work, node: onnx.NodeProto) -> None:
    """Replace the sizes of a Resize by exact scales, or take the first size from the run."""
    given = attributes(node)
    shape = work.shape(node.input[0])
    if len(node.input) < 4 or not node.input[3] or shape is None or rows_axis(shape) != 0:
        return
    if "axes" in given or given.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        return
    work.preview(node)
    after = work.shape(node.output[0]) or (None,)
    if work.batch:
        after = work.static(node.output[0]) or (None,)
    if len(after) != len(shape) or {None, 0} & {*after[1:], *shape[1:]}:
        return
    sizes = [[dim for dim in dims if isinstance(dim, int)] for dims in (shape[1:], after[1:])]
    ratios = [1.0] + [out / size for size, out in zip(*sizes, strict=True)]
    if all(_exact(ratio) for ratio in ratios):
        scales = work.weight(np.array(ratios, np.float32), f"{node.output[0]}_scales")
        node.input[:] = [node.input[0], node.input[1], scales]
        work.note(node, f"sizes → scales {ratios}")
    else:
        batch_first(3)(work, node)


def _exact(ratio: float) -> bool:
    """Whether a scale is a whole number or the inverse of a power of two."""
    return ratio.is_integer() or ((1 / ratio).is_integer() and math.log2(1 / ratio).is_integer())


def batch_first(place: int) -> Rule:
    """Return the rule for an op whose input number `place` holds sizes, the batch first."""

    def rule(work: Work, node: onnx.NodeProto) -> None:
        name = node.input[place] if len(node.input) > place else ""
        was = work.constant(name) if name else None
        if was is None or not len(was) or was[0] != work.batch:
            return
        if rows_axis(work.shape(node.input[0])) != 0:
            return
        rest = work.weight(was[1:].astype(np.int64), f"{node.output[0]}_rest")
        parts = [work.batch_size(), rest]
        node.input[place] = work.make("Concat", parts, f"{node.output[0]}_sizes", axis=0)
        sizes = [int(dim) for dim in was]
        work.note(node, f"sizes {sizes} → the batch, {sizes[1:]}")

    return rule


def slices(work: Work, node: onnx.NodeProto) -> None:
    """Let a Slice that takes the whole fixed batch take the whole batch."""
    if not work.batch or len(node.input) < 3:
        return
    shape = work.shape(node.input[0])
    rows, fixed = rows_axis(shape), work.static(node.input[0])
    starts, ends = (work.constant(name) for name in node.input[1:3])
    axes = work.constant(node.input[3]) if len(node.input) > 3 else np.arange(len(shape or ()))
    steps = work.constant(node.input[4]) if len(node.input) > 4 else None
    if rows is None or shape is None or not fixed or starts is None or ends is None or axes is None:
        return
    for number, axis in enumerate(axes):
        whole = starts[number] == 0 and ends[number] == fixed[rows]
        forward = len(node.input) < 5 or (steps is not None and steps[number] == 1)
        if axis % len(shape) == rows and whole and forward:
            new = ends.copy()
            new[number] = np.iinfo(ends.dtype).max
            node.input[2] = work.weight(new, f"{node.output[0]}_ends")
            work.note(node, f"the first {int(ends[number])} of the batch → all of it")


def gather(work: Work, node: onnx.NodeProto) -> None:
    """Let a Gather of every row pass, and let a Gather from flattened rows read each row."""
    axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
    shape, indices = work.shape(node.input[0]), work.constant(node.input[1])
    rows, fixed = rows_axis(shape), work.static(node.input[0])
    if not work.batch or shape is None or rows is None or axis % len(shape) != rows or not fixed:
        return
    if indices is None:
        own_rows(work, node)
        return
    if not indices.ndim:
        return
    if np.array_equal(indices, np.arange(fixed[rows] or 0)):
        _pass(work, node, "every row of the fixed batch → the batch as it is")
        return
    row = counts(shape)[0]
    if len(shape) > 1 or len(indices) != work.batch or work.outer.get(node.input[0], 1) > 1:
        return
    own = indices - row * np.arange(work.batch).reshape(-1, *[1] * (indices.ndim - 1))
    if not (own == own[0]).all() or own.min() < 0 or own.max() >= row:
        return
    target = work.weight(np.array([-1, row], np.int64), f"{node.output[0]}_target")
    node.input[0] = work.make("Reshape", [node.input[0], target], f"{node.output[0]}_rows")
    node.input[1] = work.weight(own[0], f"{node.output[0]}_indices")
    del node.attribute[:]
    node.attribute.append(helper.make_attribute("axis", 1))
    work.note(node, f"picks from {row} values laid flat → from each row of them")


def split(work: Work, node: onnx.NodeProto) -> None:
    """Let a Split of the batch into a single part pass."""
    axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
    shape = work.shape(node.input[0])
    if shape and len(node.output) == 1 and axis % len(shape) == rows_axis(shape) and work.batch:
        _pass(work, node, "the only part of the batch → the batch as it is")


def _pass(work: Work, node: onnx.NodeProto, what: str) -> None:
    work.note(node, what)
    node.CopyFrom(helper.make_node("Identity", [node.input[0]], [node.output[0]], name=node.name))


def squeeze(work: Work, node: onnx.NodeProto) -> None:
    """Let a Squeeze of every dim of size one keep the batch, which may also be one."""
    given = len(node.input) > 1 and node.input[1]
    shape, fixed = work.shape(node.input[0]), work.static(node.input[0])
    rows = rows_axis(shape)
    if given or node.attribute or rows is None or not fixed or None in fixed:
        return
    axes = [axis for axis, dim in enumerate(fixed) if dim == 1 and axis != rows]
    if not axes:
        _pass(work, node, "the batch of one, which is all that could go → kept")
        return
    if work.version >= 13:
        name = work.weight(np.array(axes, np.int64), f"{node.output[0]}_axes")
        node.input[:] = [node.input[0], name]
    else:
        node.attribute.append(helper.make_attribute("axes", axes))
    work.note(node, f"every dim of size one → the axes {axes}, not the batch")


def flatten(work: Work, node: onnx.NodeProto) -> None:
    """Let a Flatten of a batch of one into one row keep the batch as the first dim."""
    axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
    if axis == 0 and work.batch == 1 and rows_axis(work.shape(node.input[0])) == 0:
        del node.attribute[:]
        work.note(node, "axis 0 → 1, so that the batch stays apart")


_ELEMENTWISE = (
    *("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Sum", "Mean", "PRelu", "BitShift"),
    *("Where", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor"),
)

RULES: dict[str, Rule] = {
    "Reshape": reshape,
    "Expand": expand,
    "Resize": resize,
    "AffineGrid": batch_first(1),
    "MaxUnpool": batch_first(2),
    "Slice": slices,
    "Gather": gather,
    "Split": split,
    "Squeeze": squeeze,
    "Flatten": flatten,
    "Concat": concat,
    "LSTM": recurrent,
    "GRU": recurrent,
    "RNN": recurrent,
    "GatherND": picked,
    "ScatterND": scatter,
    "MatMul": products,
    "Einsum": summed,
    "Gemm": bias,
    "GridSample": matching(0),
    "GatherElements": matching(0),
    "ScatterElements": matching(0),
    "ReverseSequence": matching(0),
    **dict.fromkeys(_ELEMENTWISE, alongside),
}
"""Operator to its rule.

Other operators take any batch, or the proof finds that they do not.
"""
