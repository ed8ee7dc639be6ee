"""Ops that work on each element."""

import numpy as np
from hypothesis import strategies as st
from onnx import helper

from steps.step import BASIC, FLOATS, INTS, NUMBERS, Unfit, broadcast, np_kind, partner, pick, step

EXACT = {"Relu": 1, "Neg": 1, "Abs": 1, "Identity": 1}
SMOOTH = {"Exp": 1, "Tanh": 1, "Sigmoid": 1, "Softplus": 1, "Softsign": 1, "Erf": 9}
SMOOTH |= {"Sin": 7, "Cos": 7, "Atan": 7, "Sinh": 9, "Asinh": 9, "HardSwish": 14, "Mish": 18}
SMOOTH |= {"Cosh": 9, "Gelu": 20, "Elu": 1, "Selu": 1, "Celu": 12, "HardSigmoid": 1, "Swish": 24}
BORDERS = {"Sqrt": 1, "Log": 1, "Reciprocal": 1, "Asin": 7, "Acos": 7, "Acosh": 9, "Atanh": 9}
BORDERS |= {"Tan": 7}
JUMPS = {"Floor": 1, "Ceil": 1, "Round": 11, "Sign": 9}


def _unary(names, *, needs_exact, gives_exact, dtypes=FLOATS):
    for name, since in names.items():

        @step(name, since)
        def add(draw, sketch, name=name):
            x = pick(draw, sketch, dtypes, exact=needs_exact)
            attributes = {}
            if name in ("Elu", "Celu") and draw(st.booleans()):
                attributes["alpha"] = draw(st.sampled_from((0.5, 2.0)))
            if name == "Gelu" and draw(st.booleans()):
                attributes["approximate"] = "tanh"
            sketch.node(name, [x], (x.dtype, x.shape, x.exact and gives_exact), **attributes)


_unary(EXACT, needs_exact=False, gives_exact=True)
_unary(SMOOTH, needs_exact=False, gives_exact=False)
_unary(BORDERS, needs_exact=True, gives_exact=False)
_unary(JUMPS, needs_exact=True, gives_exact=True)


@step("LeakyRelu")
def leaky_relu(draw, sketch):
    """Add a LeakyRelu with any slope, also above 1 and below 0."""
    x = pick(draw, sketch, FLOATS)
    alpha = draw(st.sampled_from((0.25, 0.0, 1.5, -0.5)))
    sketch.node("LeakyRelu", [x], (x.dtype, x.shape, x.exact), alpha=alpha)


@step("ThresholdedRelu", 10)
def thresholded_relu(draw, sketch):
    """Add a ThresholdedRelu, which jumps at the threshold."""
    x = pick(draw, sketch, FLOATS, exact=True)
    alpha = draw(st.sampled_from((0.5, 0.0, 1.0, -1.0)))
    sketch.node("ThresholdedRelu", [x], (x.dtype, x.shape, True), alpha=alpha)


@step("PRelu")
def prelu(draw, sketch):
    """Add a PRelu with a slope for each channel, or one for all."""
    x = pick(draw, sketch, FLOATS)
    slope, shape = partner(draw, sketch, x, constants=(0.25, 0.0, 1.5, -0.5))
    if shape == x.shape:
        sketch.node("PRelu", [x, slope], (x.dtype, shape, x.exact))


@step("Clip", 11)
def clip(draw, sketch):
    """Add a Clip, with or without each of its bounds."""
    x = pick(draw, sketch, ("float32", "float64") if sketch.opset < 12 else NUMBERS)
    low, high = draw(st.sampled_from(((0, 6), (1, 1), (-1, 2), (2, -1))))
    if x.dtype == "uint8":
        low, high = abs(low), abs(high)
    bounds = [sketch.weight(np.array(v, x.dtype)) for v in (low, high)]
    kept = draw(st.sampled_from(((0, 1), (0,), (1,))))
    names = [bounds[i] if i in kept else "" for i in range(2)]
    sketch.node("Clip", [x, *names], (x.dtype, x.shape, x.exact))


def _binary(names, dtypes, *, needs_exact=False, gives=None, exact=True):
    for name, since in names.items():

        @step(name, since)
        def add(draw, sketch, name=name):
            old = sketch.opset < 14 and name in ("Add", "Sub", "Mul", "Div")
            old = old or (sketch.opset < 12 and name in ("Max", "Min"))
            old = old or (sketch.opset < 11 and name == "Equal")
            known = ("int32", "int64", "bool") if old and name == "Equal" else BASIC
            if old and name in ("Max", "Min"):
                known = ("float32", "float64")
            x = pick(draw, sketch, [d for d in dtypes if not old or d in known], exact=needs_exact)
            constants = None
            if name in ("Div", "Mod") and np_kind(x.dtype) in "iu":
                constants = (1, 2, 3, 41)
            if name == "Div" and np_kind(x.dtype) == "f" and not x.exact:
                constants = (2.0, 0.5, 41.0, -3.0)
            other, shape = partner(draw, sketch, x, exact=needs_exact, constants=constants)
            sure = x.exact and (isinstance(other, str) or other.exact) and exact
            pair = [x, other]
            if constants is None and draw(st.booleans()):
                pair.reverse()
            sketch.node(name, pair, (gives or x.dtype, shape, sure))


_binary({"Add": 7, "Sub": 7, "Mul": 7, "Div": 7}, NUMBERS)
_binary({"Max": 8, "Min": 8}, NUMBERS)
_binary({"Greater": 9, "Less": 9, "GreaterOrEqual": 12, "LessOrEqual": 12}, NUMBERS,
        needs_exact=True, gives="bool")  # fmt: skip
_binary({"Equal": 7}, (*NUMBERS, "bool"), needs_exact=True, gives="bool")
_binary({"And": 7, "Or": 7, "Xor": 7}, ("bool",))
_binary({"BitwiseAnd": 18, "BitwiseOr": 18, "BitwiseXor": 18}, INTS)
_binary({"Mod": 10}, INTS)


@step("Pow", 12)
def power(draw, sketch):
    """Add a Pow of exact tensors to constants, because 0 and 1 are borders."""
    x = pick(draw, sketch, ("float32", "float64"), exact=True)
    constants = (2.0, 0.5, -1.0, 0.0, 3.0, -0.5, 1.0)
    other, shape = partner(draw, sketch, x, constants=constants)
    sketch.node("Pow", [x, other], (x.dtype, shape, False))


@step("Mod", 10)
def fmod(draw, sketch):
    """Add a Mod of floats, whose remainder has the sign of the dividend."""
    x = pick(draw, sketch, ("float32", "float64"), exact=True)
    other, shape = partner(draw, sketch, x, constants=(1.0, 2.5, -3.0, 41.0))
    sketch.node("Mod", [x, other], (x.dtype, shape, True), fmod=1)


@step("Not")
def negation(draw, sketch):
    """Add a Not of booleans."""
    x = pick(draw, sketch, ("bool",))
    sketch.node("Not", [x], ("bool", x.shape, True))


@step("IsNaN", 9)
@step("IsInf", 10)
def classify(draw, sketch):
    """Add an IsNaN or an IsInf."""
    x = pick(draw, sketch, ("float32", "float64"), exact=True)
    ops = ("IsNaN", "IsInf") if sketch.opset >= 10 else ("IsNaN",)
    sketch.node(draw(st.sampled_from(ops)), [x], ("bool", x.shape, True))


@step("Where", 9)
def where(draw, sketch):
    """Add a Where whose branches may hold values that must not affect the other one."""
    known = ("float32", "int64", "uint8") if sketch.opset < 16 else (*NUMBERS, "bool")
    condition = pick(draw, sketch, ("bool",))
    x = pick(draw, sketch, known, where=lambda t: broadcast(t.shape, condition.shape) is not None)
    other, shape = partner(draw, sketch, x)
    shape = broadcast(shape, condition.shape)
    if shape is None:
        raise Unfit
    sure = x.exact and (isinstance(other, str) or other.exact)
    pair = [x, other]
    if draw(st.booleans()):
        pair.reverse()
    sketch.node("Where", [condition, *pair], (x.dtype, shape, sure))


@step("Cast")
def cast(draw, sketch):
    """Add a Cast between numbers. A float is limited to values that the other type can hold."""
    x = pick(draw, sketch, (*NUMBERS, "bool"), exact=True)
    to = draw(st.sampled_from(("float32", "int32", "int64", "float16", "float64", "bool", "int8")))
    if np_kind(x.dtype) == "f" and np_kind(to) == "i":
        x = _held(sketch, x)
    sketch.node("Cast", [x], (to, x.shape, True), to=helper.np_dtype_to_tensor_dtype(np.dtype(to)))


def _held(sketch, x):
    """Return x without NaN and between -100 and 100, because it is cast to integers."""
    if x.dtype != "float32" or sketch.opset < 11:
        raise Unfit
    zero, low, high = (sketch.weight(np.array(value, x.dtype)) for value in (0, -100, 100))
    (missing,) = sketch.node("IsNaN", [x], ("bool", x.shape, True))
    (x,) = sketch.node("Where", [missing, zero, x], (x.dtype, x.shape, True))
    (x,) = sketch.node("Clip", [x, low, high], (x.dtype, x.shape, True))
    return x
