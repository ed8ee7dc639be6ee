"""Ops that took fewer types: computed in a wider type with the same values, or by other ops."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper

from onnxgraph.lowering.node_rewriter import NodeRewriter, NotLowered, note_for
from onnxgraph.lowering.rules.activations import WHOLE
from onnxgraph.lowering.widened_ops import keep

SMALL = (TensorProto.INT8, TensorProto.INT16, TensorProto.UINT8, TensorProto.UINT16)
NARROW = (TensorProto.INT8, TensorProto.UINT8)


def through(wider: int, *types: int, back: bool = True) -> Callable[[NodeRewriter], None]:
    """Return the rule that computes an op on `types` in a wider one.

    Args:
        wider: a type that holds every value of the types, and results modulo their range.
        types: the types that the older op does not take.
        back: whether the first output has the type of the data.
    """

    def rule(node: NodeRewriter) -> None:
        dtype = node.dtype()
        if dtype not in types:
            return keep(node)
        casts = [
            node.cast(name, wider) if node.dtype(position) == dtype else name
            for position, name in enumerate(node.proto.input)
        ]
        node.give(node.proto.op_type, *casts, **node.attributes())
        if back:
            wide = node.scope.fresh_name(f"{node.label}/wide")
            node.made[-1].output[0] = wide
            node.give("Cast", wide, place=0, to=dtype)
        return None

    return rule


def extreme(node: NodeRewriter) -> None:
    """Max, Min (12) of whole numbers: a Where on Greater (Less)."""
    if node.dtype() not in WHOLE:
        return keep(node)
    test = "Greater" if node.proto.op_type == "Max" else "Less"
    small = node.dtype() in SMALL
    inputs = [node.cast(name, TensorProto.INT32) if small else name for name in node.proto.input]
    found, *others = inputs
    for other in others:
        found = node.op("Where", node.op(test, found, other), found, other)
    return node.give("Cast", found, to=node.dtype()) if small else node.give("Identity", found)


def clip_of_integers(node: NodeRewriter) -> None:
    """Clip (12) of whole numbers: a Where for each bound."""
    if node.dtype() not in WHOLE:
        return keep(node)
    found = node.input(0)
    for position, test in ((1, "Less"), (2, "Greater")):
        bound = node.input(position)
        if bound:
            found = node.op("Where", node.op(test, found, bound), bound, found)
    return node.give("Identity", found)


def power(node: NodeRewriter) -> None:
    """Pow (12): base and exponent were floats of one type."""
    dtype = node.dtype()
    if dtype in (TensorProto.INT64, TensorProto.UINT64):
        raise NotLowered("its base is int64, whose powers no float holds; cast it to float32")
    if dtype in WHOLE:
        wide = [node.cast(name, TensorProto.DOUBLE) for name in node.proto.input]
        return node.give("Cast", node.op("Pow", *wide), to=dtype)
    exponent = node.input(1)
    exponent = exponent if node.dtype(1) == dtype else node.cast(exponent, dtype)
    return node.give("Pow", node.input(0), exponent)


def or_equal(node: NodeRewriter) -> None:
    """LessOrEqual, GreaterOrEqual (12): Less (Greater) or Equal, so NaN gives false."""
    test = node.proto.op_type.removesuffix("OrEqual")
    pair = node.proto.input
    node.give("Or", node.op(test, *pair), node.op("Equal", *pair))


def equal(node: NodeRewriter) -> None:
    """Equal (11) of floats: neither Less nor Greater, and not NaN."""
    if node.dtype() in SMALL:
        return node.give(
            "Equal", *(node.cast(name, TensorProto.INT32) for name in node.proto.input)
        )
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    if node.dtype() not in floats:
        return keep(node)
    pair = node.proto.input
    differ = node.op("Or", node.op("Less", *pair), node.op("Greater", *pair))
    nan = node.op("Or", *(node.op("IsNaN", name) for name in pair))
    return node.give("Not", node.op("Or", differ, nan))


def infinite(node: NodeRewriter) -> None:
    """IsInf (10) of float32: above the largest number, or below the lowest."""
    if node.dtype() != TensorProto.FLOAT:
        raise NotLowered("it is no float32; cast it first")
    largest = float(np.finfo(np.float32).max)
    above = node.op("Greater", node.input(0), largest)
    below = node.op("Less", node.input(0), -largest)
    if not node.attribute("detect_negative", 1):
        return node.give("Identity", above)
    if not node.attribute("detect_positive", 1):
        return node.give("Identity", below)
    return node.give("Or", above, below)


def remainder(node: NodeRewriter) -> None:
    """Mod (10) of whole numbers: the remainder of Div, plus the divisor if the signs differ."""
    if node.dtype() not in (TensorProto.INT32, TensorProto.INT64) or node.attribute("fmod", 0):
        raise NotLowered("it is no Mod of int32 or int64, which is all that can be rewritten for 9")
    a, b = node.proto.input
    rest = node.op("Sub", a, node.op("Mul", node.op("Div", a, b), b))
    zero = np.zeros((), helper.tensor_dtype_to_np_dtype(node.dtype()))
    crossed = node.op("Less", node.op("Mul", rest, b), zero)
    node.give("Where", crossed, node.op("Add", rest, b), rest)


def mod_of_floats(node: NodeRewriter) -> None:
    """Mod (28): floats with fmod=0 are new."""
    if node.dtype() not in WHOLE and not node.attribute("fmod", 0):
        raise NotLowered("it is a Mod of floats with fmod=0, which is new in opset 28; set fmod=1")
    keep(node)


def cast_like(node: NodeRewriter) -> None:
    """CastLike (15): a Cast to the type of the second input."""
    dtype = node.dtype(1)
    if not dtype:
        name = node.input(1)
        raise NotLowered(f"the type of {name!r} is not known; {note_for(name)}")
    node.give("Cast", node.input(0), to=dtype)


def cast(node: NodeRewriter) -> None:
    """Cast (19, 24): the options for saturating and rounding concern only 8-bit floats."""
    keep(node, saturate=None, round_mode=None)


def constant(node: NodeRewriter) -> None:
    """Constant (12): the value was always a tensor."""
    value = node.attributes()
    kinds = {"float": np.float32, "int": np.int64, "string": object}
    for name, dtype in kinds.items():
        for attribute in (f"value_{name}", f"value_{name}s"):
            if attribute in value:
                array = np.array(value[attribute], dtype)
                tensor = onnx.numpy_helper.from_array(array)
                return node.give("Constant", value=tensor)
    return keep(node)


RULES = {
    **{(op, 14): through(TensorProto.INT32, *SMALL) for op in ("Add", "Sub", "Mul", "Div")},
    **{(op, 20): through(TensorProto.UINT8, TensorProto.BOOL) for op in ("ReduceMax", "ReduceMin")},
    **{(op, 12): through(TensorProto.INT32, *NARROW) for op in ("ReduceMax", "ReduceMin")},
    ("MaxPool", 12): through(TensorProto.FLOAT, *NARROW),
    ("IsInf", 20): through(TensorProto.FLOAT, TensorProto.FLOAT16, back=False),
    ("Max", 12): extreme,
    ("Min", 12): extreme,
    ("Clip", 12): clip_of_integers,
    ("Pow", 12): power,
    ("LessOrEqual", 12): or_equal,
    ("GreaterOrEqual", 12): or_equal,
    ("Equal", 11): equal,
    ("IsInf", 10): infinite,
    ("Mod", 28): mod_of_floats,
    ("Mod", 10): remainder,
    ("CastLike", 15): cast_like,
    ("Cast", 24): cast,
    ("Cast", 19): cast,
    ("CastLike", 24): cast,
    ("CastLike", 19): cast,
    ("Constant", 12): constant,
}
