"""Constants written for one batch, which must follow it: they are repeated, padded or left out."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper

from onnxgraph.sizing.batch_shapes import counts, rows_axis
from onnxgraph.sizing.batch_size_at_run_time import counted
from onnxgraph.sizing.batch_state import Work


def concat(work: Work, node: onnx.NodeProto) -> None:
    """Let constants of the fixed batch join any batch.

    A Pad adds zeros, and other constants are repeated for each row.
    """
    shapes = [work.shape(name) for name in node.input]
    axes = {rows_axis(shape) for shape in shapes} - {None}
    if len(axes) != 1 or any(shape is None for shape in shapes):
        return
    rows = next(iter(axes)) or 0
    rank = len(shapes[0] or ())
    axis = helper.get_node_attr_value(node, "axis") % rank
    if axis == rows:
        return
    zeros = [work.is_float(name) and work.is_zero(name) for name in node.input]
    made = [work.producers.get(name) for name in node.input]
    computed = [
        zero and each is not None and each.op_type == "ConstantOfShape"
        for zero, each in zip(zeros, made, strict=True)
    ]
    if not any(computed) and not any(work.stuck(name, rows) for name in node.input):
        return
    sizes = [shape[axis] if shape else None for shape in shapes]
    if not _pad_instead(work, node, axis, rank, zeros, sizes):
        matching(rows)(work, node)


def _pad_instead(
    work: Work, node: onnx.NodeProto, axis: int, rank: int, zeros: list[bool], sizes: list
) -> bool:
    """Replace a Concat with zeros at its ends by a Pad of the other inputs, where that is exact."""
    kept = [number for number, zero in enumerate(zeros) if not zero]
    if not kept or len(kept) == len(zeros) or any(zeros[kept[0] : kept[-1]]):
        return False
    ends = [sizes[: kept[0]], sizes[kept[-1] + 1 :]]
    if not all(isinstance(size, int) for end in ends for size in end):
        return False
    pads = [0] * (2 * rank)
    pads[axis], pads[rank + axis] = sum(ends[0]), sum(ends[1])
    work.note(node, f"zeros on axis {axis} → Pad by {sum(ends[0])} and {sum(ends[1])}")
    source, output = node.input[kept[0]], node.output[0]
    if len(kept) > 1:
        names = [node.input[number] for number in kept]
        source = work.make("Concat", names, f"{output}_kept", axis=axis)
    pad = helper.make_node("Pad", [source], [output], name=node.name, mode="constant")
    if work.version >= 11:
        pad.input.append(work.weight(np.array(pads, np.int64), f"{output}_pads"))
    else:
        pad.attribute.append(helper.make_attribute("pads", pads))
    node.CopyFrom(pad)
    return True


def matching(axis: int) -> Callable[[Work, onnx.NodeProto], None]:
    """Return the rule for an op whose inputs must all have the batch on the axis."""

    def rule(work: Work, node: onnx.NodeProto) -> None:
        if all(rows_axis(work.shape(name)) != axis for name in node.input):
            return
        for name in dict.fromkeys(node.input):
            if work.stuck(name, axis):
                repeat(work, node, name, axis)

    return rule


def alongside(work: Work, node: onnx.NodeProto) -> None:
    """Let a constant written for several values per row repeat beside data that has the batch."""
    shapes = {name: work.shape(name) for name in node.input}
    leading = [(name, shape) for name, shape in shapes.items() if rows_axis(shape) is not None]
    if not work.batch or not leading or work.outer.get(leading[0][0], 1) > 1:
        return
    shape = leading[0][1] or ()
    rows = rows_axis(shape) or 0
    times = counts(shape)[rows]
    for name, other in shapes.items():
        place = rows - len(shape) + len(other or ())
        if other and place >= 0 and other[place] == times * work.batch != 1:
            one = one_row(work, name, place) if times == 1 else ""
            if one:  # the constant applies to every row
                work.share(name)
                _feed(work, node, name, one, "one row of it")
            else:
                repeat(work, node, name, place)


def bias(work: Work, node: onnx.NodeProto) -> None:
    """Let the bias of a Gemm written for the fixed batch apply to every row."""
    name = node.input[2] if len(node.input) > 2 else ""
    one = one_row(work, name, 0) if name and work.batch > 1 and work.stuck(name, 0) else ""
    if one and rows_axis(work.shape(node.input[0])) == 0:
        _feed(work, node, name, one, "one row of it")


def products(work: Work, node: onnx.NodeProto) -> None:
    """Let a constant of the fixed batch be multiplied by the matrices of every row."""
    axes = [rows_axis(work.shape(name)) for name in node.input]
    shapes = [work.shape(name) or () for name in node.input]
    batched = [a is not None and a < len(s) - 2 for a, s in zip(axes, shapes, strict=True)]
    if any(batched):
        alongside(work, node)


def summed(work: Work, node: onnx.NodeProto) -> None:
    """Let a constant of the fixed batch follow it in an Einsum, where both have the same letter."""
    equation = helper.get_node_attr_value(node, "equation").decode().replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    if "." in equation or len(terms) != len(node.input):
        return
    axes = [rows_axis(work.shape(name)) for name in node.input]
    letters = {term[axis] for term, axis in zip(terms, axes, strict=True) if axis is not None}
    for name, term in dict(zip(node.input, terms, strict=True)).items():
        for axis in (axis for axis, letter in enumerate(term) if letter in letters):
            if work.stuck(name, axis):
                repeat(work, node, name, axis)


def recurrent(work: Work, node: onnx.NodeProto) -> None:
    """Let lengths and initial states of an LSTM, GRU or RNN follow the batch.

    Zero states and full lengths are left out, because they are the defaults.
    """
    for place, axis in ((4, 0), (5, 1), (6, 1)):
        name = node.input[place] if len(node.input) > place else ""
        if not name or not work.stuck(name, axis):
            continue
        if place == 4 and _spans_all_steps(work, node):
            node.input[place] = ""
            work.note(node, "lengths of the whole sequence → none (it is the default)")
        elif place > 4 and work.is_zero(name):
            node.input[place] = ""
            work.note(node, "initial state of zeros → none (it is the default)")
        else:
            repeat(work, node, name, axis)


def _spans_all_steps(work: Work, node: onnx.NodeProto) -> bool:
    lengths, shape = work.constant(node.input[4]), work.shape(node.input[0])
    return lengths is not None and bool(shape) and bool((lengths == (shape or (0,))[0]).all())


def repeat(work: Work, node: onnx.NodeProto, name: str, axis: int) -> None:
    """Feed the node a constant repeated along an axis, once for each row of the batch."""
    shape = work.static(name)
    work.share(name)
    one = name if work.batch == 1 else one_row(work, name, axis)
    if one and shape is not None:
        wide = _tiled(work, one, axis, len(shape))
        what = "repeated for each row of the batch"
    else:
        wide, what = counted(work, name, axis), "counted on for each row of the batch"
    if wide:
        _feed(work, node, name, wide, what)


def _tiled(work: Work, one: str, axis: int, rank: int) -> str:
    """Return a tensor repeated along an axis, once for each row of the batch."""
    parts = [work.batch_size()]
    for place, count in ((0, axis), (1, rank - 1 - axis)):
        if count:
            ones = work.weight(np.ones(count, np.int64), f"{one}_ones")
            parts.insert(len(parts) if place else 0, ones)
    repeats = work.make("Concat", parts, f"{one}_repeats", axis=0)
    return work.make("Tile", [one, repeats], f"{one}_batched")


def _feed(work: Work, node: onnx.NodeProto, name: str, wide: str, what: str) -> None:
    """Let the node read another tensor in place of the one with the fixed batch."""
    node.input[:] = [wide if each == name else each for each in node.input]
    work.note(node, f"{name!r} of batch {work.batch} → {what}")


def one_row(work: Work, name: str, axis: int) -> str:
    """Return the name of a tensor's values for one row, or "" if its rows are known to differ.

    Unknown rows are assumed to be equal. If they differ, the proof finds it.
    """
    value, shape = work.value(name), work.static(name)
    size = shape[axis] if shape else None
    if size is None or size % work.batch:
        return ""
    if value is None:
        return _first(work, name, axis, size // work.batch)
    parts = np.split(value, work.batch, axis=axis)
    if not all(np.array_equal(part, parts[0]) for part in parts):
        return ""
    return work.weight(parts[0], f"{name}_row")


def _first(work: Work, name: str, axis: int, count: int) -> str:
    """Return the first values of a tensor along an axis."""
    if work.version < 10:  # the starts and ends are attributes
        return ""
    places = (("starts", 0), ("ends", count), ("axes", axis))
    bounds = [work.weight(np.array([place]), f"{name}_{word}") for word, place in places]
    return work.make("Slice", [name, *bounds], f"{name}_row")


def repeat_outputs(work: Work, names: list[str]) -> None:
    """Repeat outputs computed from constants only, so that each row of the batch has its own."""
    for name in names:
        node = work.producers.get(name)
        if node is None or work.source_inputs(name) or not work.stuck(name, 0) or work.batch > 1:
            continue
        one = work.names.free(f"{name}_row")
        for each in work.nodes:
            each.input[:] = [one if used == name else used for used in each.input]
            each.output[:] = [one if made == name else made for made in each.output]
        work.preview(node)
        out = onnx.NodeProto(op_type="Identity", name=name, input=[one], output=[name])
        repeat(work, out, one, 0)
        work.add(out)
