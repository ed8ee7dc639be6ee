"""Row numbers written for one batch: in indices, in offsets, or omitted because the batch was 1.

The proof judges these changes, as all others.
"""

import numpy as np
import onnx
from onnx import helper

from onnxgraph.sizing.batch_rows import repeat
from onnxgraph.sizing.batch_shapes import counts, rows_axis
from onnxgraph.sizing.batch_size_at_run_time import row_numbers
from onnxgraph.sizing.batch_state import Work


def scatter(work: Work, node: onnx.NodeProto) -> None:
    """Let a ScatterND write into the rows of any batch."""
    if not work.batch or all(rows_axis(work.shape(node.input[each])) != 0 for each in (0, 2)):
        return
    for place in (0, 2):
        if work.stuck(node.input[place], 0):
            repeat(work, node, node.input[place], 0)
    number(work, node)


def picked(work: Work, node: onnx.NodeProto) -> None:
    """Let a GatherND that picks values from each row number the rows of any batch."""
    batch_dims = next((each.i for each in node.attribute if each.name == "batch_dims"), 0)
    if not work.batch or rows_axis(work.shape(node.input[0])) != 0:
        return
    if batch_dims:
        if work.stuck(node.input[1], 0):
            repeat(work, node, node.input[1], 0)
    elif work.source_inputs(node.input[1]):
        _number_joined(work, node)
    else:
        number(work, node)


def number(work: Work, node: onnx.NodeProto) -> None:
    """Replace indices whose first number is the row number by the same indices for any batch."""
    name = node.input[1]
    fixed = work.static(name) or (None,)
    if None in fixed or len(fixed) < 2 or rows_axis(work.shape(name)) is not None:
        return
    lengths = [dim or 0 for dim in fixed]
    if work.source_inputs(name) or lengths[0] % work.batch:
        return
    *inner, last = lengths[1:]
    if (times := lengths[0] // work.batch) > 1:
        target = work.weight(np.array([work.batch, times, *inner, last]), f"{name}_apart")
        inner, name = [times, *inner], work.make("Reshape", [name, target], f"{name}_by_row")
    indices = _spread(work, row_numbers(work, name, len(inner) + 1), [*inner, 1])
    if last > 1:
        ends = [
            work.weight(np.array(each), f"{name}_{word}")
            for word, each in (
                ("starts", [0, 1]),
                ("ends", [1, last]),
                ("axes", [0, len(inner) + 1]),
            )
        ]
        rest = work.make("Slice", [name, *ends], f"{name}_in_row")
        rest = _spread(work, rest, [*inner, last - 1])
        indices = work.make("Concat", [indices, rest], f"{name}_any", axis=len(inner) + 1)
    if times > 1:
        target = work.weight(np.array([-1, *inner[1:], last]), f"{name}_target")
        indices = work.make("Reshape", [indices, target], f"{name}_flat")
    node.input[1] = indices
    work.note(node, f"indices of {work.batch} rows → of every row of the batch")


def own_rows(work: Work, node: onnx.NodeProto) -> None:
    """Let a Gather that picks from a single flattened row pick from each row.

    Its indices come from the data, so each row has its own.
    """
    data, indices = (work.shape(name) for name in node.input)
    if work.batch != 1 or not data or not indices or None in (*data, *indices):
        return
    if rows_axis(data) != 0 or rows_axis(indices) != 0:
        return
    if not work.source_inputs(node.input[1]) or _counts_rows(work, node.input[1]):
        return
    values, (own, *places) = counts(data)[0], counts(indices)
    work.note(node, f"picks from the {values} values of one row → from those of each row")
    name = _not_negative(work, node.input[1], values)
    apart = work.weight(np.array([-1, own, *places], np.int64), f"{name}_apart")
    by_row = work.make("Reshape", [name, apart], f"{name}_by_row")
    far = work.weight(np.array(values, np.int64), f"{name}_values")
    first = work.make("Mul", [row_numbers(work, name, 1 + len(places)), far], f"{name}_first")
    moved = work.make("Add", [_as_long(work, by_row), first], f"{name}_moved")
    joined = work.weight(np.array([-1, *places], np.int64), f"{name}_joined")
    node.input[1] = work.make("Reshape", [moved, joined], f"{name}_of_rows")


def _not_negative(work: Work, name: str, size: int) -> str:
    """Return the indices, with those that count from the end changed to count from the front."""
    name = _as_long(work, name)
    zero, all_ = (work.weight(np.array(each, np.int64), f"{name}_{each}") for each in (0, size))
    low = work.make("Less", [name, zero], f"{name}_low")
    from_front = work.make("Add", [name, all_], f"{name}_from_front")
    return work.make("Where", [low, from_front, name], f"{name}_counted")


def _as_long(work: Work, name: str) -> str:
    if work.at[0].elem_type(name) == onnx.TensorProto.INT64:
        return name
    return work.make("Cast", [name], f"{name}_long", to=onnx.TensorProto.INT64)


def _number_joined(work: Work, node: onnx.NodeProto) -> None:
    """Number the rows in indices that a Concat joins from row numbers and computed indices."""
    join = work.producers.get(node.input[1])
    if join is None or join.op_type != "Concat":
        return
    maker = work.producers.get(join.input[0])  # through a Tile, if repeated
    source = maker.input[0] if maker is not None and maker.op_type == "Tile" else join.input[0]
    value, shape = work.constant(source), work.shape(node.input[1]) or ()
    axis = helper.get_node_attr_value(join, "axis")
    if value is None or axis not in (-1, len(shape) - 1) or value.size != work.batch:
        return
    if list(value.ravel()) != list(range(work.batch)):
        return
    column = row_numbers(work, source, value.ndim - 1)
    node.input[1] = work.make(
        "Concat", [column, *join.input[1:]], f"{node.input[1]}_any", axis=axis
    )
    work.note(node, f"the rows {value.ravel().tolist()} → every row of the batch")


def _spread(work: Work, name: str, sizes: list[int]) -> str:
    """Return a tensor expanded to the batch of the run, followed by `sizes`."""
    rest = work.weight(np.array(sizes, np.int64), f"{name}_rest")
    target = work.make("Concat", [work.batch_size(), rest], f"{name}_sizes", axis=0)
    return work.make("Expand", [name, target], f"{name}_batched")


def _counts_rows(work: Work, name: str) -> bool:
    """Whether a tensor is computed from something that follows the batch and from no data."""
    found, open_ = set(), [name]
    while open_:
        each = open_.pop()
        if each in found or each not in work.producers:
            continue
        found.add(each)
        if work.knows(each) and rows_axis(work.shape(each)) is not None:
            return True
        open_ += work.producers[each].input
    return False
