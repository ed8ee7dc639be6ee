"""Picking and placing: negative indices only since opset 11, TopK, ArgMax, Scatter, RoiAlign."""

import numpy as np
from onnx import TensorProto, helper

from onnxgraph.lowering.node_rewriter import Obstacle, Site
from onnxgraph.lowering.widened import keep


def gather(site: Site) -> None:
    """Gather (11): negative indices count from the front, also those computed at run time."""
    axis = site.attribute("axis", 0)
    indices = _from_the_front(site, axis)
    site.give("Gather", site.input(0), indices, axis=axis)


def scatter(site: Site) -> None:
    """ScatterElements (11) was called Scatter, with indices from the front."""
    axis = site.attribute("axis", 0)
    axis = axis + site.rank() if axis < 0 else axis
    indices = _from_the_front(site, axis)
    site.give("Scatter", site.input(0), indices, site.input(2), axis=axis)


def _from_the_front(site: Site, axis: int) -> str:
    """Return the second input, its negative values plus the size of the axis."""
    indices, known = site.input(1), site.constant(1)
    if known is not None and known.min(initial=0) >= 0:
        return indices
    dtype = site.dtype(1) or TensorProto.INT64
    shape = site.op("Shape", site.input(0))
    axis = axis + site.rank() if axis < 0 else axis
    size = site.op("Squeeze", site.op("Gather", shape, [axis], axis=0), axes=[0])
    size = size if dtype == TensorProto.INT64 else site.cast(size, dtype)
    zero = np.zeros((), helper.tensor_dtype_to_np_dtype(dtype))
    below = site.op("Less", indices, zero)
    return site.op("Where", below, site.op("Add", indices, size), indices)


def one_hot(site: Site) -> None:
    """OneHot (11): as Gather; its last axis was always allowed as -1."""
    axis = site.attribute("axis", -1)
    axis = axis + site.rank() + 1 if axis < -1 else axis
    depth = site.op("Reshape", site.cast(site.input(1), TensorProto.INT64), [])
    indices = site.cast(site.input(0), TensorProto.INT64)
    zero = np.array(0, np.int64)
    # What is still negative then lies outside: it must not be taken for one more turn.
    for other in (site.op("Add", indices, depth), depth):
        indices = site.op("Where", site.op("Less", indices, zero), other, indices)
    site.give("OneHot", indices, depth, site.input(2), axis=axis)


def last_of_equals(site: Site) -> None:
    """ArgMax, ArgMin (12) with select_last_index: the first one from behind."""
    if not site.attribute("select_last_index", 0):
        return keep(site)
    axis = site.attribute("axis", 0)
    last = np.array(site.size(axis) - 1, np.int64)
    turned = site.op("Slice", site.input(0), [-1], [np.iinfo(np.int64).min], [axis], [-1])
    kept = {"axis": axis, "keepdims": site.attribute("keepdims", 1)}
    return site.give("Sub", last, site.op(site.node.op_type, turned, **kept))


def top_k(site: Site) -> None:
    """TopK (11): the smallest are the largest of the negated; order is always sorted."""
    axis = site.attribute("axis", -1)
    axis = axis if axis >= -1 else axis + site.rank()
    floats = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
    if site.dtype() not in floats:
        raise Obstacle(
            "it sorts no floats, which TopK takes only from opset 11 on; cast to float32"
        )
    if site.attribute("largest", 1):
        return site.give("TopK", *site.node.input, axis=axis)
    negated = site.op("Neg", site.input(0))
    values = site.scope.names.fresh(f"{site.label}/values")
    site.give("TopK", negated, site.input(1), axis=axis)
    site.made[-1].output[0] = values
    site.give("Neg", values, place=0)
    del site.made[-1].output[1:]
    return None


def top_k_to_attribute(site: Site) -> None:
    """TopK (10): k was an attribute."""
    k = int(site.known(1, "k").ravel()[0])
    site.give("TopK", site.input(0), k=k, **site.attributes())


def roi_align(site: Site) -> None:
    """RoiAlign (16): before, pixels were not shifted by a half."""
    if site.attribute("coordinate_transformation_mode", "half_pixel") != "output_half_pixel":
        raise Obstacle(
            "it shifts by half a pixel, as it can only from opset 16 on; export it with "
            "aligned=False"
        )
    keep(site, coordinate_transformation_mode=None)


def no_new_reduction(site: Site) -> None:
    """ScatterElements, ScatterND (18): max and min are new."""
    reduction = site.attribute("reduction", "none")
    if reduction in ("max", "min"):
        raise Obstacle(f"it has reduction={reduction}, which the op takes only from opset 18 on")
    keep(site)


RULES = {
    ("Gather", 11): gather,
    ("ScatterElements", 11): scatter,
    ("OneHot", 11): one_hot,
    ("ArgMax", 12): last_of_equals,
    ("ArgMin", 12): last_of_equals,
    ("TopK", 11): top_k,
    ("TopK", 10): top_k_to_attribute,
    ("RoiAlign", 16): roi_align,
    ("ScatterElements", 18): no_new_reduction,
    ("ScatterND", 18): no_new_reduction,
}
