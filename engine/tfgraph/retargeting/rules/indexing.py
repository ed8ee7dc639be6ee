"""Rules for gathers, scatters and permutations."""

from typing import TYPE_CHECKING

import numpy as np

from tfgraph.graphs.node_defs import like
from tfgraph.graphs.shapes import Shapes
from tfgraph.retargeting.rules.node_writer import BOOL, INT32, INT64, Writer
from tfgraph.retargeting.rules.registry import rule

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


@rule("DataFormatVecPermute")
def data_format_vec_permute(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Gather with constant indices, for a vector (or rows) with one entry per axis."""
    source, target = node.attr["src_format"].s.decode(), node.attr["dst_format"].s.decode()
    known = shapes.of(node.input[0]) or ()
    if known[:1] != (len(source),) or sorted(source) != sorted(target):
        return None
    write = Writer(node)
    places = write.const("indices", [source.index(letter) for letter in target])
    return write.last("Gather", node.input[0], places, Tparams=node.attr["T"].type)


@rule("BroadcastTo")
def broadcast_to(node: "NodeDef", shapes: Shapes) -> list["NodeDef"]:
    """Multiply by ones of the wanted shape ("or false" for booleans), which changes no value."""
    dtype, write = node.attr["T"].type, Writer(node)
    shape = _as_int32(write, "dims", node.input[1], node.attr["Tidx"].type)
    unit = write.const("unit", dtype != BOOL, dtype)
    units = write.add("units", "Fill", shape, unit, T=dtype)
    if dtype == BOOL:
        return write.last("LogicalOr", node.input[0], units)
    return write.last("Mul", node.input[0], units, T=dtype)


@rule("TensorScatterAdd")
def tensor_scatter_add(node: "NodeDef", shapes: Shapes) -> list["NodeDef"]:
    """Scatter the updates into zeros, which adds up repeated indices too, and add the sum."""
    data, indices, updates = node.input[:3]
    dtype, index = node.attr["T"].type, node.attr["Tindices"].type
    write = Writer(node)
    shape = write.add("shape", "Shape", data, T=dtype, out_type=index)
    scattered = write.add(
        "scattered", "ScatterNd", indices, updates, shape, T=dtype, Tindices=index
    )
    return write.last("Add", data, scattered, T=dtype)


@rule("TensorScatterUpdate")
def tensor_scatter_update(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Use DynamicStitch of all rows and the updates: the last update of a position wins."""
    data, indices, updates = node.input[:3]
    dtype = node.attr["T"].type
    known = shapes.of(indices)
    if not known or not known[-1]:
        return None
    write = Writer(node)
    shape = write.shape("shape", data, dtype)
    outer = write.part("outer", shape, 0, known[-1])
    inner = write.part("inner", shape, known[-1], -1)
    first, one = write.const("first", 0), write.const("one", 1)
    strides = write.add("strides", "Cumprod", outer, first, T=INT32)
    write.nodes[-1].attr["exclusive"].b = write.nodes[-1].attr["reverse"].b = True
    places = _as_int32(write, "places", indices, node.attr["Tindices"].type)
    scaled = write.add("scaled", "Mul", places, strides, T=INT32)
    summed = write.add("summed", "Sum", scaled, write.const("last", [-1]), T=INT32)
    count = write.add("count", "Prod", outer, first, T=INT32)
    inside = _if_inside(write, summed, places, outer, count)
    flat = write.add("flat", "Reshape", inside, write.const("all", [-1]), T=INT32)
    everywhere = write.add("everywhere", "Range", first, count, one)
    sizes = [
        write.joined(
            "rows_shape", write.add("rows_size", "ExpandDims", count, first, T=INT32), inner
        ),
        write.joined("changes_shape", write.shape("changes_size", flat, INT32), inner),
    ]
    rows = write.add("rows", "Reshape", data, sizes[0], T=dtype)
    changes = write.add("changes", "Reshape", updates, sizes[1], T=dtype)
    stitched = write.add("stitched", "DynamicStitch", everywhere, flat, rows, changes, T=dtype)
    write.nodes[-1].attr["N"].i = 2
    return write.last("Reshape", stitched, shape, T=dtype)


def _if_inside(write: Writer, flat: str, places: str, sizes: str, count: str) -> str:
    """Return flat indices, with `count` for those out of range, so that they are an error.

    Otherwise they would change another row.
    """
    sides = [
        write.add("not_below", "GreaterEqual", places, write.const("lowest", 0), T=INT32),
        write.add("not_above", "Less", places, sizes, T=INT32),
    ]
    both = write.add("both", "LogicalAnd", *sides)
    inside = write.add("inside", "All", both, write.const("depth", [-1]), Tidx=INT32)
    nothing = write.add("nothing", "ZerosLike", flat, T=INT32)
    outside = write.add("outside", "Add", nothing, count, T=INT32)
    return write.add("known", "Select", inside, flat, outside, T=INT32)


@rule("UnsortedSegmentMin")
def unsorted_segment_min(node: "NodeDef", shapes: Shapes) -> list["NodeDef"]:
    """Take the largest opposite: floats are negated, and integers have every bit flipped."""
    from tensorflow.python.framework import dtypes

    dtype, index = node.attr["T"].type, node.attr["Tindices"].type
    turn = "Invert" if dtypes.as_dtype(dtype).is_integer else "Neg"
    write = Writer(node)
    turned = write.add("turned", turn, node.input[0], T=dtype)
    largest = write.add(
        "largest",
        "UnsortedSegmentMax",
        *(turned, node.input[1], node.input[2]),
        T=dtype,
        Tindices=index,
    )
    return write.last(turn, largest, T=dtype)


@rule("UnsortedSegmentProd")
def unsorted_segment_prod(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Sort the rows for SegmentProd, and append ones for the segments after the last."""
    data, ids, count = node.input[:3]
    dtype, index = node.attr["T"].type, node.attr["Tindices"].type
    known = shapes.of(data)
    if known is None or len(shapes.of(ids) or ()) != 1 or node.attr["Tnumsegments"].type != INT32:
        return None
    write = Writer(node)
    turned = write.add("turned", "Neg", ids, T=index)
    length = write.shape("length", ids, index)
    zero, one = write.const("zero", 0), write.const("one", 1, dtype)
    number = write.add("number", "Prod", length, zero, T=INT32)
    order = write.add("order", "TopKV2", turned, number, T=index) + ":1"
    rows = write.add("rows", "Gather", data, order, Tparams=dtype)
    sorted_ids = write.add("sorted", "Gather", ids, order, Tparams=index)
    found = write.add("found", "SegmentProd", rows, sorted_ids, T=dtype, Tindices=index)
    there = write.part("there", write.shape("found_shape", found, dtype), 0, 1)
    lacking = write.add("lacking", "Sub", count, there, T=INT32)
    ends = write.add("ends", "ExpandDims", lacking, write.const("end", 1), T=INT32)
    after = np.zeros((len(known), 2), np.int32)
    after[0, 1] = 1
    pads = write.add("pads", "Mul", write.const("after", after), ends, T=INT32)
    return write.last("PadV2", found, pads, one, T=dtype)


@rule("Pad", until="tf1.15")
@rule("PadV2", until="tf1.15")
@rule("MirrorPad", until="tf1.15")
def padding(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Use 32-bit paddings, because with 64-bit ones the old kernels end the whole process."""
    if node.attr["Tpaddings"].type != INT64:
        return None
    write = Writer(node)
    amounts = _as_int32(write, "amounts", node.input[1], INT64)
    narrow = like(node, node.op, *(name for name in node.attr if name != "Tpaddings"))
    narrow.input[1] = amounts
    narrow.attr["Tpaddings"].type = INT32
    return [*write.nodes, narrow]


def _as_int32(write: Writer, role: str, source: str, dtype: int) -> str:
    if dtype != INT64:
        return source
    return write.add(role, "Cast", source, SrcT=INT64, DstT=INT32)
