"""Activations and normalisations of the softmax kind, by simpler ops."""

import math

import numpy as np
import onnx
from onnx import helper

from onnxgraph.lowering.node_rewriter import NotLowered, Site
from onnxgraph.lowering.widened import keep
from onnxgraph.model.graphs import graphs

WHOLE = frozenset(
    getattr(onnx.TensorProto, name)
    for name in ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
)

HALVES = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


def along_axis(site: Site) -> None:
    """Softmax, LogSoftmax, Hardmax: before 13 they flattened all dims from `axis` on into one."""
    axis, op = site.attribute("axis", -1), site.node.op_type
    if axis == -1 or axis == site.rank() - 1:
        return site.give(op, site.input(0), axis=axis)
    order = list(range(site.rank()))
    order.append(order.pop(axis))
    back = [order.index(axis) for axis in range(len(order))]
    last = site.op("Transpose", site.input(0), perm=order)
    result = site.op(op, last, axis=len(order) - 1)
    return site.give("Transpose", result, perm=back)


def gelu(site: Site) -> None:
    """x · Φ(x), Φ by Erf or, if approximate, by Tanh."""
    x = site.input(0)
    if site.attribute("approximate", "none") == "tanh":
        cube = site.op("Mul", site.op("Mul", x, x), x)
        inner = site.op("Add", x, site.op("Mul", cube, 0.044715))
        curve = site.op("Tanh", site.op("Mul", inner, math.sqrt(2 / math.pi)))
    else:
        curve = site.op("Erf", site.op("Mul", x, math.sqrt(0.5)))
    site.give("Mul", site.op("Mul", x, 0.5), site.op("Add", curve, 1.0))


def mish(site: Site) -> None:
    """x · tanh(softplus(x))."""
    site.give("Mul", site.input(0), site.op("Tanh", site.op("Softplus", site.input(0))))


def hard_swish(site: Site) -> None:
    """x · hardsigmoid(x)."""
    gate = site.op("HardSigmoid", site.input(0), alpha=1 / 6, beta=0.5)
    site.give("Mul", site.input(0), gate)


def celu(site: Site) -> None:
    """max(0, x) + min(0, α · (exp(x / α) − 1))."""
    x, alpha = site.input(0), float(site.attribute("alpha", 1.0))
    power = site.op("Sub", site.op("Exp", site.op("Div", x, alpha)), 1.0)
    negative = site.op("Min", site.op("Mul", power, alpha), 0.0)
    site.give("Add", site.op("Max", x, 0.0), negative)


def celu_of_other_floats(site: Site) -> None:
    """Up to 27 Celu took float32 alone: halves are computed in it, and rounded once."""
    if site.dtype() in HALVES:
        wide = site.cast(site.input(0), onnx.TensorProto.FLOAT)
        curve = site.op("Celu", wide, **site.attributes())
        return site.give("Cast", curve, to=site.dtype())
    return keep(site) if site.dtype() == onnx.TensorProto.FLOAT else celu(site)


def thresholded(site: Site) -> None:
    """ThresholdedRelu (10): x where it is larger than α, else 0."""
    above = site.op("Greater", site.input(0), float(site.attribute("alpha", 1.0)))
    site.give("Where", above, site.input(0), 0.0)


def relu_of_integers(site: Site) -> None:
    """Up to 13 Relu took floats alone."""
    if site.dtype() not in WHOLE:
        return keep(site)
    zero = np.zeros((), helper.tensor_dtype_to_np_dtype(site.dtype()))
    return site.give("Max", site.input(0), zero)


def clip_to_attributes(site: Site) -> None:
    """Clip (11): the bounds were attributes; without one it is infinite, not the largest number."""
    bounds = {"min": -math.inf, "max": math.inf}
    for position, name in ((1, "min"), (2, "max")):
        if site.input(position):
            value = site.constant(position)
            if value is None:
                return _clip_by_extremes(site)
            bounds[name] = float(value.ravel()[0])
    if bounds["min"] > bounds["max"]:
        return _clip_by_extremes(site)
    return site.give("Clip", site.input(0), min=bounds["min"], max=bounds["max"])


def _clip_by_extremes(site: Site) -> None:
    steps = [(op, site.input(n)) for n, op in ((1, "Max"), (2, "Min")) if site.input(n)]
    found = site.input(0)
    for op, bound in steps[:-1]:
        found = site.op(op, found, bound)
    site.give(steps[-1][0], found, steps[-1][1])


def dropout_to_attribute(site: Site) -> None:
    """Up to 11 the ratio was an attribute, and a Dropout in a file never dropped anything."""
    training = site.constant(2) if site.input(2) else np.array(False)
    if training is None or training.any():
        raise NotLowered(
            "its training_mode is on, or decided while the model runs; export the model after "
            "module.eval(), or take the node out with onnxgraph.remove"
        )
    ratio = site.constant(1)
    share = None if ratio is None else float(ratio.ravel()[0])
    if site.output(1):
        kept = helper.make_tensor("kept", onnx.TensorProto.BOOL, [1], [True])
        site.give("ConstantOfShape", site.op("Shape", site.input(0)), place=1, value=kept)
    site.give("Dropout", site.input(0), place=0, ratio=share)


def dropout_without_mask(site: Site) -> None:
    """Up to 9 the mask had the type of the data; one that nobody reads is left out."""
    graph, mask = site.scope.graph, site.output(1)
    read = {name for each in graphs(graph) for node in each.node for name in node.input}
    if mask and mask in read | {value.name for value in graph.output}:
        raise NotLowered(
            "its mask is read, which has another type before opset 10; cut off what needs it with "
            "onnxgraph.cut"
        )
    site.give("Dropout", site.input(0), place=0, **site.attributes())


RULES = {
    **{(op, 13): along_axis for op in ("Softmax", "LogSoftmax", "Hardmax")},
    ("Gelu", 20): gelu,
    ("Mish", 18): mish,
    ("HardSwish", 14): hard_swish,
    ("Celu", 28): celu_of_other_floats,
    ("Celu", 12): celu,
    ("ThresholdedRelu", 10): thresholded,
    ("Relu", 14): relu_of_integers,
    ("Clip", 11): clip_to_attributes,
    ("Dropout", 12): dropout_to_attribute,
    ("Dropout", 10): dropout_without_mask,
}
