"""Quantised tensors and their products."""

import numpy as np
from hypothesis import strategies as st

from steps.step import Unfit, pick, step


@step("QuantizeLinear", 10)
def quantise(draw, sketch):
    """Add a quantisation to 8 bits, with or without the way back.

    Ties go to the even number.
    """
    x = pick(draw, sketch, ("float32",), exact=True)
    scale = sketch.weight(np.array(draw(st.sampled_from((0.5, 0.25, 1.0, 0.1))), np.float32))
    dtype = draw(st.sampled_from(("uint8", "int8")))
    zero = sketch.weight(np.array(draw(st.sampled_from((0, 3, 127))), dtype))
    (whole,) = sketch.node("IsNaN", [x], ("bool", x.shape, True))
    nothing = sketch.weight(np.array(0, np.float32))
    (x,) = sketch.node("Where", [whole, nothing, x], (x.dtype, x.shape, True))
    (made,) = sketch.node("QuantizeLinear", [x, scale, zero], (dtype, x.shape, True))
    if draw(st.booleans()):
        sketch.node("DequantizeLinear", [made, scale, zero], ("float32", x.shape, True))


@step("MatMulInteger", 10)
def matmul_integer(draw, sketch):
    """Add a MatMulInteger of 8 bits with zero points."""
    x = pick(draw, sketch, ("uint8", "int8"), least=2,
             where=lambda t: isinstance(t.shape[-1], int) and t.shape[-1] > 0)  # fmt: skip
    other = draw(st.sampled_from(("uint8", "int8")))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 127, (x.shape[-1], 2))
    zeros = [sketch.weight(np.array(draw(st.integers(0, 9)), d)) for d in (x.dtype, other)]
    inputs = [x, sketch.weight(values.astype(other)), *zeros]
    sketch.node("MatMulInteger", inputs, ("int32", (*x.shape[:-1], 2), True))


@step("ConvInteger", 10)
def conv_integer(draw, sketch):
    """Add a ConvInteger, whose padding holds the zero point."""
    x = pick(draw, sketch, ("uint8",), least=4, most=4)
    if not all(isinstance(d, int) and d > 2 for d in x.shape[1:]):
        raise Unfit
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 9, (2, x.shape[1], 3, 3))
    zero = sketch.weight(np.array(draw(st.integers(0, 9)), np.uint8))
    inputs = [x, sketch.weight(values.astype(np.uint8)), zero]
    shape = (x.shape[0], 2, *x.shape[2:])
    sketch.node("ConvInteger", inputs, ("int32", shape, True), pads=[1, 1, 1, 1])
