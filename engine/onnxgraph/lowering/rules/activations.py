"""Activations and softmax-like normalisations, by simpler ops."""

import math

import numpy as np
import onnx
from onnx import helper

from onnxgraph.lowering.node_rewriter import NodeRewriter, NotLowered
from onnxgraph.lowering.widened_ops import keep
from onnxgraph.model.graphs import graphs

WHOLE = frozenset(
    getattr(onnx.TensorProto, name)
    for name in ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
)

HALVES = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


def along_axis(node: NodeRewriter) -> None:
    """Softmax, LogSoftmax, Hardmax: before 13 they flattened all dims from `axis` on into one."""
    axis, op = node.attribute("axis", -1), node.proto.op_type
    if axis == -1 or axis == node.rank() - 1:
        return node.give(op, node.input(0), axis=axis)
    order = list(range(node.rank()))
    order.append(order.pop(axis))
    back = [order.index(axis) for axis in range(len(order))]
    last = node.op("Transpose", node.input(0), perm=order)
    result = node.op(op, last, axis=len(order) - 1)
    return node.give("Transpose", result, perm=back)


def gelu(node: NodeRewriter) -> None:
    """Gelu (20): x · Φ(x), with Φ by Erf or, if approximate, by Tanh."""
    x = node.input(0)
    if node.attribute("approximate", "none") == "tanh":
        cube = node.op("Mul", node.op("Mul", x, x), x)
        inner = node.op("Add", x, node.op("Mul", cube, 0.044715))
        curve = node.op("Tanh", node.op("Mul", inner, math.sqrt(2 / math.pi)))
    else:
        curve = node.op("Erf", node.op("Mul", x, math.sqrt(0.5)))
    node.give("Mul", node.op("Mul", x, 0.5), node.op("Add", curve, 1.0))


def mish(node: NodeRewriter) -> None:
    """x · tanh(softplus(x))."""
    node.give("Mul", node.input(0), node.op("Tanh", node.op("Softplus", node.input(0))))


def hard_swish(node: NodeRewriter) -> None:
    """x · hardsigmoid(x)."""
    gate = node.op("HardSigmoid", node.input(0), alpha=1 / 6, beta=0.5)
    node.give("Mul", node.input(0), gate)


def celu(node: NodeRewriter) -> None:
    """max(0, x) + min(0, α · (exp(x / α) − 1))."""
    x, alpha = node.input(0), float(node.attribute("alpha", 1.0))
    power = node.op("Sub", node.op("Exp", node.op("Div", x, alpha)), 1.0)
    negative = node.op("Min", node.op("Mul", power, alpha), 0.0)
    node.give("Add", node.op("Max", x, 0.0), negative)


def celu_of_other_floats(node: NodeRewriter) -> None:
    """Celu (28): up to 27 it took only float32, so halves are computed in float32.

    They are rounded once.
    """
    if node.dtype() in HALVES:
        wide = node.cast(node.input(0), onnx.TensorProto.FLOAT)
        curve = node.op("Celu", wide, **node.attributes())
        return node.give("Cast", curve, to=node.dtype())
    return keep(node) if node.dtype() == onnx.TensorProto.FLOAT else celu(node)


def thresholded(node: NodeRewriter) -> None:
    """ThresholdedRelu (10): x where it is larger than α, else 0."""
    above = node.op("Greater", node.input(0), float(node.attribute("alpha", 1.0)))
    node.give("Where", above, node.input(0), 0.0)


def relu_of_integers(node: NodeRewriter) -> None:
    """Relu (14): up to 13 it took only floats."""
    if node.dtype() not in WHOLE:
        return keep(node)
    zero = np.zeros((), helper.tensor_dtype_to_np_dtype(node.dtype()))
    return node.give("Max", node.input(0), zero)


def clip_to_attributes(node: NodeRewriter) -> None:
    """Clip (11): the bounds were attributes.

    A missing bound is infinite, not the largest number.
    """
    bounds = {"min": -math.inf, "max": math.inf}
    for position, name in ((1, "min"), (2, "max")):
        if node.input(position):
            value = node.constant(position)
            if value is None:
                return _clip_by_extremes(node)
            bounds[name] = float(value.ravel()[0])
    if bounds["min"] > bounds["max"]:
        return _clip_by_extremes(node)
    return node.give("Clip", node.input(0), min=bounds["min"], max=bounds["max"])


def _clip_by_extremes(node: NodeRewriter) -> None:
    steps = [(op, node.input(n)) for n, op in ((1, "Max"), (2, "Min")) if node.input(n)]
    found = node.input(0)
    for op, bound in steps[:-1]:
        found = node.op(op, found, bound)
    node.give(steps[-1][0], found, steps[-1][1])


def dropout_to_attribute(node: NodeRewriter) -> None:
    """Dropout (12): up to 11 the ratio was an attribute.

    A Dropout in a file never dropped anything.
    """
    training = node.constant(2) if node.input(2) else np.array(False)
    if training is None or training.any():
        raise NotLowered(
            "its training_mode is on, or decided while the model runs; export the model after "
            "module.eval(), or take the node out with onnxgraph.remove"
        )
    ratio = node.constant(1)
    share = None if ratio is None else float(ratio.ravel()[0])
    if node.output(1):
        kept = helper.make_tensor("kept", onnx.TensorProto.BOOL, [1], [True])
        node.give("ConstantOfShape", node.op("Shape", node.input(0)), place=1, value=kept)
    node.give("Dropout", node.input(0), place=0, ratio=share)


def dropout_without_mask(node: NodeRewriter) -> None:
    """Dropout (10): up to 9 the mask had the type of the data. An unused mask is left out."""
    graph, mask = node.scope.graph, node.output(1)
    read = {name for each in graphs(graph) for node in each.node for name in node.input}
    if mask and mask in read | {value.name for value in graph.output}:
        raise NotLowered(
            "its mask is read, which has another type before opset 10; cut off what needs it with "
            "onnxgraph.cut"
        )
    node.give("Dropout", node.input(0), place=0, **node.attributes())


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
