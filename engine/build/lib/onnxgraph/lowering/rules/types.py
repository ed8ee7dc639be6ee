"""Ops that took fewer types: computed in a wider type that holds the same values, or otherwise."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper

from onnxgraph.lowering.node_rewriter import Obstacle, Site, note_for
from onnxgraph.lowering.rules.activations import WHOLE
from onnxgraph.lowering.widened import keep

SMALL = (TensorProto.INT8, TensorProto.INT16, TensorProto.UINT8, TensorProto.UINT16)
NARROW = (TensorProto.INT8, TensorProto.UINT8)


def through(wider: int, *types: int, back: bool = True) -> Callable[[Site], None]:
    """Return the rule that computes an op on `types` in a wider one.

    Args:
        wider: type that holds every value of the types, and results modulo their range.
        types: those that the older op does not take.
        back: whether the first output has the type of the data.
    """

    def rule(site: Site) -> None:
        dtype = site.dtype()
        if dtype not in types:
            return keep(site)
        casts = [
            site.cast(name, wider) if site.dtype(position) == dtype else name
            for position, name in enumerate(site.node.input)
        ]
        site.give(site.node.op_type, *casts, **site.attributes())
        if back:
            wide = site.scope.names.fresh(f"{site.label}/wide")
            site.made[-1].output[0] = wide
            site.give("Cast", wide, place=0, to=dtype)
        return None

    return rule


def extreme(site: Site) -> None:
    """Max, Min (12) of whole numbers: Where one is Greater (Less) than the other."""
    if site.dtype() not in WHOLE:
        return keep(site)
    test = "Greater" if site.node.op_type == "Max" else "Less"
    small = site.dtype() in SMALL
    inputs = [site.cast(name, TensorProto.INT32) if small else name for name in site.node.input]
    found, *others = inputs
    for other in others:
        found = site.op("Where", site.op(test, found, other), found, other)
    return site.give("Cast", found, to=site.dtype()) if small else site.give("Identity", found)


def clip_of_integers(site: Site) -> None:
    """Clip (12) of whole numbers: the same, with each bound."""
    if site.dtype() not in WHOLE:
        return keep(site)
    found = site.input(0)
    for position, test in ((1, "Less"), (2, "Greater")):
        bound = site.input(position)
        if bound:
            found = site.op("Where", site.op(test, found, bound), bound, found)
    return site.give("Identity", found)


def power(site: Site) -> None:
    """Pow (12): base and exponent were floats of one type."""
    dtype = site.dtype()
    if dtype in (TensorProto.INT64, TensorProto.UINT64):
        raise Obstacle("its base is int64, whose powers no float holds; cast it to float32")
    if dtype in WHOLE:
        wide = [site.cast(name, TensorProto.DOUBLE) for name in site.node.input]
        return site.give("Cast", site.op("Pow", *wide), to=dtype)
    exponent = site.input(1)
    exponent = exponent if site.dtype(1) == dtype else site.cast(exponent, dtype)
    return site.give("Pow", site.input(0), exponent)


def or_equal(site: Site) -> None:
    """LessOrEqual, GreaterOrEqual (12): Less (Greater) or Equal, so that NaN is neither."""
    test = site.node.op_type.removesuffix("OrEqual")
    pair = site.node.input
    site.give("Or", site.op(test, *pair), site.op("Equal", *pair))


def equal(site: Site) -> None:
    """Equal (11) of floats: neither Less nor Greater, and no NaN."""
    if site.dtype() in SMALL:
        return site.give("Equal", *(site.cast(name, TensorProto.INT32) for name in site.node.input))
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    if site.dtype() not in floats:
        return keep(site)
    pair = site.node.input
    differ = site.op("Or", site.op("Less", *pair), site.op("Greater", *pair))
    nan = site.op("Or", *(site.op("IsNaN", name) for name in pair))
    return site.give("Not", site.op("Or", differ, nan))


def infinite(site: Site) -> None:
    """IsInf (10) of float32: larger than the largest number, or smaller than the smallest."""
    if site.dtype() != TensorProto.FLOAT:
        raise Obstacle("it is no float32; cast it first")
    largest = float(np.finfo(np.float32).max)
    above = site.op("Greater", site.input(0), largest)
    below = site.op("Less", site.input(0), -largest)
    if not site.attribute("detect_negative", 1):
        return site.give("Identity", above)
    if not site.attribute("detect_positive", 1):
        return site.give("Identity", below)
    return site.give("Or", above, below)


def remainder(site: Site) -> None:
    """Mod (10) of whole numbers: the remainder of Div, plus the divisor if the signs differ."""
    if site.dtype() not in (TensorProto.INT32, TensorProto.INT64) or site.attribute("fmod", 0):
        raise Obstacle("it is no Mod of int32 or int64, which is all that can be rewritten for 9")
    a, b = site.node.input
    rest = site.op("Sub", a, site.op("Mul", site.op("Div", a, b), b))
    zero = np.zeros((), helper.tensor_dtype_to_np_dtype(site.dtype()))
    crossed = site.op("Less", site.op("Mul", rest, b), zero)
    site.give("Where", crossed, site.op("Add", rest, b), rest)


def mod_of_floats(site: Site) -> None:
    """Mod (28): floats with fmod=0 are new."""
    if site.dtype() not in WHOLE and not site.attribute("fmod", 0):
        raise Obstacle("it is a Mod of floats with fmod=0, which is new in opset 28; set fmod=1")
    keep(site)


def cast_like(site: Site) -> None:
    """CastLike (15): a Cast to the type of the second input."""
    dtype = site.dtype(1)
    if not dtype:
        name = site.input(1)
        raise Obstacle(f"the type of {name!r} is not known; {note_for(name)}")
    site.give("Cast", site.input(0), to=dtype)


def cast(site: Site) -> None:
    """Cast (19, 24): how to saturate and round concerns 8-bit floats alone."""
    keep(site, saturate=None, round_mode=None)


def constant(site: Site) -> None:
    """Constant (12): the value was always a tensor."""
    value = site.attributes()
    kinds = {"float": np.float32, "int": np.int64, "string": object}
    for name, dtype in kinds.items():
        for attribute in (f"value_{name}", f"value_{name}s"):
            if attribute in value:
                array = np.array(value[attribute], dtype)
                tensor = onnx.numpy_helper.from_array(array)
                return site.give("Constant", value=tensor)
    return keep(site)


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
