"""The rewrites that let a batch of any size through a graph, one function for each kind of node.

Each takes the work and a node, changes the private copy where that is needed, says so in words and
returns whether it did. What they leave alone is judged by the proof in `batch_proof`.
"""

from collections.abc import Callable

import numpy as np
import onnx

from nbhelpers.onnxgraph import interface
from nbhelpers.onnxgraph.batch_shapes import Rows, reshape_axis, rows_axis
from nbhelpers.onnxgraph.batch_work import Work, expand_to_batch, is_zero, named
from nbhelpers.onnxgraph.edit import add_constant, free_name


def reshape(work: Work, node: onnx.NodeProto) -> bool:
    """Give a Reshape the target [-1, sizes…], so that it takes any batch and needs no Shape op."""
    was = work.constant(node.input[1])
    target = _dynamic_target(work, node) if was is None else _fixed_target(work, node)
    if target is None or (was is not None and list(was) == target):
        return False
    seen = "a computed target" if was is None else f"target {[int(dim) for dim in was]}"
    node.input[1] = add_constant(
        work.graph, np.array(target, np.int64), stem=f"{node.output[0]}_target"
    )
    work.changes.append(f"{named(node)}: {seen} → {target}")
    return True


def _dynamic_target(work: Work, node: onnx.NodeProto) -> list[int] | None:
    """Return the sizes after a Reshape, one of them -1, if only one is not known."""
    shape = work.shapes.get(node.output[0])
    if shape is None or 0 in shape:  # 0 would mean "copy" in a target
        return None
    target = [dim if isinstance(dim, int) else -1 for dim in shape]
    return target if target.count(-1) <= 1 else None


def _fixed_target(work: Work, node: onnx.NodeProto) -> list[int] | None:
    """Return the target with -1 where the batch belongs, for sizes written for a fixed batch."""
    shape = work.shapes.get(node.input[0])
    if rows_axis(shape) is None or shape is None:
        return None
    if not work.static:
        return _dynamic_target(work, node)
    sizes = work.static.get(node.output[0])
    if sizes is None or not all(isinstance(dim, int) and dim > 0 for dim in sizes):
        return None
    outer = work.outer.get(node.input[0], 1)
    axis = reshape_axis(shape, outer, sizes, work.batch)
    if axis is None:
        return None
    slower = int(np.prod(_sizes(shape)[: rows_axis(shape)], dtype=np.int64)) * outer
    work.outer[node.output[0]] = slower // int(np.prod(sizes[:axis], dtype=np.int64))
    return [-1 if place == axis else int(dim) for place, dim in enumerate(sizes)]


def _sizes(shape: tuple) -> list[int]:
    return [dim.times if isinstance(dim, Rows) else dim for dim in shape]


def expand(work: Work, node: onnx.NodeProto) -> bool:
    """Let an Expand to a fixed batch above 1 keep the batch that its input brings."""
    was, shape = work.constant(node.input[1]), work.shapes.get(node.input[0])
    axis = rows_axis(shape)
    if was is None or shape is None or axis is None or not work.static:
        return False
    place = axis + len(was) - len(shape)
    if place < 0 or was[place] == 1:
        return False
    target = [1 if number == place else int(dim) for number, dim in enumerate(was)]
    node.input[1] = add_constant(
        work.graph, np.array(target, np.int64), stem=f"{node.output[0]}_target"
    )
    work.changes.append(f"{named(node)}: target {[int(dim) for dim in was]} → {target}")
    return True


def concat(work: Work, node: onnx.NodeProto) -> bool:
    """Let constants of batch 1 join a batch of any size: zeros by a Pad, others by an Expand."""
    shapes = [work.shapes.get(name) for name in node.input]
    axes = {rows_axis(shape) for shape in shapes} - {None}
    if len(axes) != 1 or any(shape is None for shape in shapes):
        return False
    rows = next(iter(axes)) or 0
    rank = len(shapes[0] or ())
    axis = onnx.helper.get_node_attr_value(node, "axis") % rank
    if axis == rows:
        return False
    stuck = [
        name
        for name, shape in zip(node.input, shapes, strict=True)
        if shape and shape[rows] == work.batch
    ]
    zeros = [is_zero(work, name) for name in node.input]
    made = [work.producer(name) for name in node.input]
    computed = [
        zero and bool(each and each.op_type == "ConstantOfShape")
        for zero, each in zip(zeros, made, strict=True)
    ]
    if not stuck and not any(computed):
        return False
    sizes = [shape[axis] if shape else None for shape in shapes]
    if _pad_instead(work, node, axis, rank, zeros, sizes):
        return True
    if work.batch > 1:  # a constant of several rows has no row to repeat
        return False
    for name in stuck:
        expand_to_batch(work, node, name, rank, rows)
    return bool(stuck)


def _pad_instead(
    work: Work, node: onnx.NodeProto, axis: int, rank: int, zeros: list[bool], sizes: list
) -> bool:
    """Replace a Concat with zeros at its ends by a Pad of the rest, where that is exact."""
    kept = [number for number, zero in enumerate(zeros) if not zero]
    if not kept or len(kept) == len(zeros) or any(zeros[kept[0] : kept[-1]]):
        return False
    ends = [sizes[: kept[0]], sizes[kept[-1] + 1 :]]
    if not all(isinstance(size, int) for end in ends for size in end):
        return False
    pads = [0] * (2 * rank)
    pads[axis], pads[rank + axis] = sum(ends[0]), sum(ends[1])
    source = node.input[kept[0]]
    if len(kept) > 1:
        source = free_name(work.graph, f"{node.output[0]}_kept")
        names = [node.input[number] for number in kept]
        work.insert(node, onnx.helper.make_node("Concat", names, [source], name=source, axis=axis))
    work.changes.append(
        f"{named(node)}: zeros on axis {axis} → Pad by {sum(ends[0])} and {sum(ends[1])}"
    )
    output, name = node.output[0], node.name
    if interface.opset(work.model) >= 11:
        amounts = add_constant(work.graph, np.array(pads, np.int64), stem=f"{output}_pads")
        pad = onnx.helper.make_node("Pad", [source, amounts], [output], name=name, mode="constant")
    else:
        pad = onnx.helper.make_node(
            "Pad", [source], [output], name=name, mode="constant", pads=pads
        )
    node.CopyFrom(pad)
    return True


def recurrent(work: Work, node: onnx.NodeProto) -> bool:
    """Let the initial states of an LSTM, GRU or RNN follow the batch; zeros are what it starts
    with anyway.
    """
    changed = False
    for place in (5, 6)[: len(node.input) - 5] if len(node.input) > 5 else ():
        name = node.input[place]
        shape = work.shapes.get(name)
        if not name or shape is None or rows_axis(shape) is not None:
            continue
        if is_zero(work, name):
            node.input[place] = ""
            work.changes.append(f"{named(node)}: initial state of zeros → none (it is the default)")
        elif len(shape) == 3 and shape[1] == 1:
            expand_to_batch(work, node, name, 3, 1)
        else:
            continue
        changed = True
    return changed


def resize(work: Work, node: onnx.NodeProto) -> bool:
    """Replace the sizes of a Resize by scales where they are exact, so that no batch is written
    in them.
    """
    known = {each.name for each in node.attribute}
    shape = work.shapes.get(node.input[0])
    if len(node.input) < 4 or not node.input[3] or rows_axis(shape) != 0 or shape is None:
        return False
    if known & {"axes", "keep_aspect_ratio_policy"}:
        return False
    was = work.constant(node.input[3])
    sizes = work.static.get(node.output[0]) if was is not None else work.shapes.get(node.output[0])
    if sizes is None or not all(isinstance(dim, int) for dim in (*shape[1:], *sizes[1:])):
        return False
    ratios = [1.0] + [out / size for out, size in zip(sizes[1:], shape[1:], strict=True)]
    if all(
        ratio.is_integer() or ((1 / ratio).is_integer() and _power_of_two(1 / ratio))
        for ratio in ratios
    ):
        stem = f"{node.output[0]}_scales"
        scales = add_constant(work.graph, np.array(ratios, np.float32), stem=stem)
        node.input[:] = [node.input[0], node.input[1], scales]
        work.changes.append(f"{named(node)}: sizes → scales {ratios}")
        return True
    if was is None:
        return False
    rest = add_constant(work.graph, np.array(sizes[1:], np.int64), stem=f"{node.output[0]}_rest")
    target = free_name(work.graph, f"{node.output[0]}_sizes")
    parts = [work.batch_size(), rest]
    work.insert(node, onnx.helper.make_node("Concat", parts, [target], name=target, axis=0))
    node.input[3] = target
    work.changes.append(
        f"{named(node)}: sizes {[int(dim) for dim in was]} → the batch, {list(sizes[1:])}"
    )
    return True


def _power_of_two(value: float) -> bool:
    return int(value) & (int(value) - 1) == 0


RULES: dict[str, Callable[[Work, onnx.NodeProto], bool]] = {
    "Reshape": reshape,
    "Expand": expand,
    "Concat": concat,
    "LSTM": recurrent,
    "GRU": recurrent,
    "RNN": recurrent,
    "Resize": resize,
}
"""Operator to the rule for it; other operators take any batch, or are found out by the proof."""
