"""Shapes, slices and padding: what was an attribute, what is now an input, what is new."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnxgraph.lowering.node_rewriter import Obstacle, Site
from onnxgraph.lowering.widened import keep

LAST = 2**63 - 1


def shape_part(site: Site) -> None:
    """Shape (15) of some axes: a slice of the shape."""
    start, end = site.attribute("start", 0), site.attribute("end", LAST)
    if (start, end) == (0, LAST):
        return site.give("Shape", site.input(0))
    return site.give("Slice", site.op("Shape", site.input(0)), [start], [end], [0])


def reshape(site: Site) -> None:
    """Reshape (14) with allowzero: a 0 in a constant shape would now copy a dim."""
    target = site.constant(1)
    if site.attribute("allowzero", 0) and target is not None and 0 in target:
        raise Obstacle("its shape holds a 0 that is meant (allowzero); remove the empty tensor")
    if site.attribute("allowzero", 0) and target is None:
        if 0 in (site.scope.shape(site.input(0)) or []):
            raise Obstacle("it shapes an empty tensor (allowzero); remove that")
        site.notes.append("its shape is computed: right for all but empty tensors")
    site.give("Reshape", site.input(0), site.input(1))


def trilu(site: Site) -> None:
    """Trilu (14): Where the row is above (or below) the column, by two ranges."""
    x, shape = site.input(0), site.op("Shape", site.input(0))
    shift = site.input(1) or np.array(0, np.int64)
    rows, columns = (site.op("Squeeze", site.op("Gather", shape, [i]), [0]) for i in (-2, -1))
    zero, one = np.array(0, np.int64), np.array(1, np.int64)
    row = site.op("Unsqueeze", site.op("Range", zero, rows, one), [1])
    column = site.op("Range", zero, columns, one)
    edge = site.op("Add", row, shift)
    order = (column, edge) if site.attribute("upper", 1) else (edge, column)
    kept = site.op("GreaterOrEqual", *order)
    nothing = np.zeros((), helper.tensor_dtype_to_np_dtype(site.dtype() or 1))
    site.give("Where", kept, x, nothing)


def wrap(site: Site) -> None:
    """Pad (19) that wraps around: rows taken again, along each axis."""
    if site.attribute("mode", "constant") != "wrap":
        return keep(site)
    data, last = site.input(0), site.input(0)
    for axis, (begin, end) in _padding(site).items():
        size = site.size(axis)
        data = site.op("Gather", data, np.arange(-begin, size + end) % size, axis=axis)
    if data == last:
        return site.give("Identity", data)
    site.made[-1].output[0] = site.output(0)
    return None


def pad_of_axes(site: Site) -> None:
    """Pad (18) of some axes: the others get zeros."""
    if not site.input(3):
        return keep(site)
    pads = np.zeros((2, site.rank()), np.int64)
    for axis, padding in _padding(site).items():
        pads[:, axis] = padding
    value = [site.input(2)] if site.input(2) else []
    return site.give("Pad", site.input(0), pads.ravel(), *value, **site.attributes())


def _padding(site: Site) -> dict[int, list[int]]:
    """Return axis to (begin, end), for the axes that a Pad names."""
    pads = site.known(1, "pads").reshape(2, -1)
    axes = site.known(3, "axes").ravel().tolist() if site.input(3) else range(pads.shape[1])
    rank = site.rank()
    return {axis % rank: pads[:, n].tolist() for n, axis in enumerate(axes)}


def pad_to_attributes(site: Site) -> None:
    """Pad (11): amounts and value were attributes, and the data floats."""
    pads = site.known(1, "pads").ravel().tolist()
    value = float(site.known(2, "value").ravel()[0]) if site.input(2) else 0.0
    attributes = {"pads": pads, "value": value, **site.attributes()}
    dtype = site.dtype()
    if dtype in (onnx.TensorProto.INT32, onnx.TensorProto.UINT8, onnx.TensorProto.INT8):
        exact = site.cast(site.input(0), onnx.TensorProto.DOUBLE)
        return site.give("Cast", site.op("Pad", exact, **attributes), to=dtype)
    if dtype == onnx.TensorProto.INT64:
        raise Obstacle("it pads int64, which Pad takes only from opset 11 on; pad it as int32")
    return site.give("Pad", site.input(0), **attributes)


def slice_axes(site: Site) -> None:
    """Slice (11): negative axes count from the front."""
    if not site.input(3):
        return keep(site)
    axes = site.known(3, "axes")
    if axes.min(initial=0) >= 0:
        return keep(site)
    counted = (axes % site.rank()).astype(axes.dtype)
    steps = [site.input(4)] if site.input(4) else []
    return site.give("Slice", *site.node.input[:3], counted, *steps)


def slice_to_attributes(site: Site) -> None:
    """Slice (10): starts and ends were attributes; steps become a Gather of those rows."""
    starts, ends = (
        site.known(i, what).ravel().tolist() for i, what in ((1, "starts"), (2, "ends"))
    )
    axes = site.known(3, "axes").ravel().tolist() if site.input(3) else list(range(len(starts)))
    steps = site.known(4, "steps").ravel().tolist() if site.input(4) else [1] * len(starts)
    if set(steps) == {1}:
        return site.give("Slice", site.input(0), axes=axes, starts=starts, ends=ends)
    data = site.input(0)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = site.size(axis)
        end = None if step < 0 and end < -size else end
        data = site.op("Gather", data, np.arange(size)[start:end:step], axis=axis)
    site.made[-1].output[0] = site.output(0)
    return None


def range_by_counting(site: Site) -> None:
    """Range (11) of integers with a constant step: the places of as many ones."""
    known = site.scope.value(site.output(0))
    if known is not None:
        return site.give("Constant", value=numpy_helper.from_array(known))
    if site.dtype() not in (onnx.TensorProto.INT64, onnx.TensorProto.INT32):
        raise Obstacle("it is no range of integers; make it of int64, with a Cast behind it")
    step = int(site.known(2, "step"))
    start, limit = (site.cast(site.input(i), onnx.TensorProto.INT64) for i in (0, 1))
    past = np.array(step - 1 if step > 0 else step + 1, np.int64)
    span = site.op("Add", site.op("Sub", limit, start), past)
    count = site.op("Div", span, np.array(step, np.int64))
    zero = np.array(0, np.int64)
    count = site.op("Where", site.op("Less", count, zero), zero, count)
    one = helper.make_tensor("one", onnx.TensorProto.INT64, [1], [1])
    ones = site.op("ConstantOfShape", site.op("Unsqueeze", count, axes=[0]), value=one)
    places = site.op("Squeeze", site.op("NonZero", ones), axes=[0])
    values = site.op("Add", site.op("Mul", places, np.array(step, np.int64)), start)
    return site.give("Cast", values, to=site.dtype())


def range_of_halves(site: Site) -> None:
    """Range (27) of float16: added up in float32, as stash_type says."""
    if site.dtype() != onnx.TensorProto.FLOAT16 or site.attribute("stash_type", 1) != 1:
        return keep(site)
    single = [site.cast(name, onnx.TensorProto.FLOAT) for name in site.node.input]
    return site.give("Cast", site.op("Range", *single), to=site.dtype())


RULES = {
    ("Shape", 15): shape_part,
    ("Reshape", 14): reshape,
    ("Trilu", 14): trilu,
    ("Pad", 19): wrap,
    ("Pad", 18): pad_of_axes,
    ("Pad", 11): pad_to_attributes,
    ("Slice", 11): slice_axes,
    ("Slice", 10): slice_to_attributes,
    ("Range", 27): range_of_halves,
    ("Range", 11): range_by_counting,
}
