"""Round half to even, also below opset 11, which has no Round, and fake quantisation's rounding."""

import numpy as np

from tfgraph.toonnx.handlers.selection import chosen
from tfgraph.toonnx.handlers.writer import FLOATS, Writer, handler


@handler("Round", "Rint")
def to_even(write: Writer) -> str:
    """Write Round. Below opset 11 choose the nearer of Floor and Ceil, or the even one at .5."""
    (x,) = write.inputs
    dtype = write.dtype()
    if dtype not in FLOATS:
        return write.add("Identity", x)
    if write.opset >= 11:
        return write.add("Round", x)
    half, two = write.constant(0.5, dtype), write.constant(2, dtype)
    low = write.add("Floor", x)
    above = write.add("Sub", x, low)
    twice = write.add("Mul", write.add("Floor", write.add("Mul", low, half)), two)
    odd = write.add("Greater", write.add("Sub", low, twice), half)
    up = write.add("Greater", above, half)
    down = write.add("Less", above, half)
    up = write.add("Or", up, write.add("And", odd, write.add("Not", down)))
    return chosen(write, up, write.add("Ceil", x), low, dtype)


@handler("FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel")
def fake_quantised(write: Writer) -> str:
    """Use TensorFlow's own steps, because it rounds halves up and QuantizeLinear to even."""
    limits = [write.attribute(name) for name in ("min", "max")]
    if write.op != "FakeQuantWithMinMaxArgs":
        limits = [write.value(place) for place in (1, 2)]
    if any(each is None for each in limits):
        raise ValueError("its limits are no constants")
    low, high = (np.asarray(each, np.float32) for each in limits)
    first, last = float(write.attribute("narrow_range", 0)), 2.0 ** write.attribute("num_bits") - 1
    least, most, scale = nudged(low, high, first, last)
    x, dtype = write.inputs[0], write.dtype()
    least_, most_ = write.constant(least, dtype), write.constant(most, dtype)
    within = write.add("Min", write.add("Max", x, least_), most_)
    steps = write.add("Mul", write.add("Sub", within, least_), write.constant(1 / scale, dtype))
    whole = write.add("Floor", write.add("Add", steps, write.constant(0.5, dtype)))
    return write.add("Add", write.add("Mul", whole, write.constant(scale, dtype)), least_)


def nudged(
    low: np.ndarray, high: np.ndarray, first: float, last: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return limits and scale in float32, moved so that 0 is one of the steps.

    Args:
        low: the least number.
        high: the greatest number.
        first: the step of the least number.
        last: the step of the greatest number.
    """
    one = np.float32
    scale = ((high - low) / one(last - first)).astype(one)
    start = (one(first) - low / scale).astype(one)
    zero = np.where(start < first, one(first), np.where(start > last, one(last), _away(start)))
    zero = zero.astype(one)
    return (
        ((one(first) - zero) * scale).astype(one),
        ((one(last) - zero) * scale).astype(one),
        scale,
    )


def _away(value: np.ndarray) -> np.ndarray:
    """Round halves away from zero, as C does."""
    return np.trunc(value + np.copysign(np.float32(0.5), value)).astype(np.float32)
