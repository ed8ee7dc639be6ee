"""Constants that were written for one batch and must follow it: repeated, padded or left out."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nbhelpers.onnxgraph import interface
from nbhelpers.onnxgraph.anatomy import graphs
from nbhelpers.onnxgraph.sizing.batch_shapes import counts, rows_axis
from nbhelpers.onnxgraph.sizing.batch_work import Work


def concat(work: Work, node: onnx.NodeProto) -> None:
    """Let constants of the fixed batch join any: zeros by a Pad, others repeated for each row."""
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
    """Replace a Concat with zeros at its ends by a Pad of the rest, where that is exact."""
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
    """Let a constant written for several values a row repeat beside data that has the batch."""
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
            repeat(work, node, name, place)


def recurrent(work: Work, node: onnx.NodeProto) -> None:
    """Let lengths and initial states of an LSTM, GRU or RNN follow the batch; zeros, and lengths
    that take everything, are what it starts with anyway.
    """
    for place, axis in ((4, 0), (5, 1), (6, 1)):
        name = node.input[place] if len(node.input) > place else ""
        if not name or not work.stuck(name, axis):
            continue
        if place == 4 and _whole(work, node):
            node.input[place] = ""
            work.note(node, "lengths of the whole sequence → none (it is the default)")
        elif place > 4 and work.is_zero(name):
            node.input[place] = ""
            work.note(node, "initial state of zeros → none (it is the default)")
        else:
            repeat(work, node, name, axis)


def _whole(work: Work, node: onnx.NodeProto) -> bool:
    lengths, shape = work.constant(node.input[4]), work.shape(node.input[0])
    return lengths is not None and bool(shape) and bool((lengths == (shape or (0,))[0]).all())


def repeat(work: Work, node: onnx.NodeProto, name: str, axis: int) -> None:
    """Feed the node a constant repeated along an axis, once for each row of the batch."""
    shape = work.static(name)
    one = name if work.batch == 1 else one_row(work, name, axis)
    if not one or shape is None:
        return
    parts = [work.batch_size()]
    for place, count in ((0, axis), (1, len(shape) - 1 - axis)):
        if count:
            ones = work.weight(np.ones(count, np.int64), f"{name}_ones")
            parts.insert(len(parts) if place else 0, ones)
    repeats = work.make("Concat", parts, f"{name}_repeats", axis=0)
    wide = work.make("Tile", [one, repeats], f"{name}_batched")
    node.input[:] = [wide if each == name else each for each in node.input]
    work.note(node, f"{name!r} of batch {work.batch} → repeated for each row of the batch")


def one_row(work: Work, name: str, axis: int) -> str:
    """Return the name of what a constant holds for one row; "" if its rows are not all equal."""
    value = work.constant(name)
    if value is None and name in work.weights:
        value = numpy_helper.to_array(work.weights[name])
    if value is None or value.shape[axis] % work.batch:
        return ""
    parts = np.split(value, work.batch, axis=axis)
    if not all(np.array_equal(part, parts[0]) for part in parts):
        return ""
    return work.weight(parts[0], f"{name}_row")


def picked(work: Work, node: onnx.NodeProto) -> None:
    """Let a GatherND that picks something from each row number the rows of any batch."""
    join = work.producers.get(node.input[1])
    if not work.batch or join is None or join.op_type != "Concat":
        return
    maker = work.producers.get(join.input[0])  # a Tile, if it was repeated for the Concat already
    source = maker.input[0] if maker is not None and maker.op_type == "Tile" else join.input[0]
    value, shape = work.constant(source), work.shape(node.input[1]) or ()
    axis = helper.get_node_attr_value(join, "axis")
    if value is None or axis not in (-1, len(shape) - 1) or value.size != work.batch:
        return
    if rows_axis(work.shape(node.input[0])) != 0 or list(value.ravel()) != list(range(work.batch)):
        return
    zero, step = (work.weight(np.array(each, np.int64), f"{source}_{each}") for each in (0, 1))
    scalar = work.weight(np.array([], np.int64), f"{source}_scalar")
    size = work.make("Reshape", [work.batch_size(), scalar], f"{source}_batch")
    numbers = work.make("Range", [zero, size, step], f"{source}_range")
    target = work.weight(np.array([-1] + [1] * (value.ndim - 1), np.int64), f"{source}_target")
    column = work.make("Reshape", [numbers, target], f"{source}_rows")
    node.input[1] = work.make(
        "Concat", [column, *join.input[1:]], f"{node.input[1]}_any", axis=axis
    )
    work.note(node, f"the rows {value.ravel().tolist()} → every row of the batch")


def repeat_outputs(work: Work, names: list[str]) -> None:
    """Repeat outputs that are made of constants only, so that each row of the batch has its own."""
    depends = _from_data(work)
    for name in names:
        node = work.producers.get(name)
        if node is None or name in depends or not work.stuck(name, 0) or work.batch > 1:
            continue
        one = work.free_name(f"{name}_row")
        for each in work.nodes:
            each.input[:] = [one if used == name else used for used in each.input]
            each.output[:] = [one if made == name else made for made in each.output]
        work.preview(node)
        out = onnx.NodeProto(op_type="Identity", name=name, input=[one], output=[name])
        repeat(work, out, one, 0)
        work.add(out)


def _from_data(work: Work) -> set[str]:
    """Return the tensors that hold anything of the inputs but their shapes."""
    found = {value.name for value in interface.fed(work.model.graph)}
    for node in work.nodes:
        bodies = [each.g for each in node.attribute if each.HasField("g")]
        inner = {n for body in bodies for g in graphs(body) for each in g.node for n in each.input}
        if node.op_type not in ("Shape", "Size") and found & {*node.input, *inner}:
            found.update(node.output)
    return found
