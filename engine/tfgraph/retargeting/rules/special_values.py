"""Rules for functions whose kernels are wrong for special values: infinities, NaN, large numbers.

Each error was seen on the real runtime. Subnormal numbers do not count, because TensorFlow flushes
them to zero.
"""

from typing import TYPE_CHECKING

import numpy as np

from tfgraph.graphs.shapes import Shapes
from tfgraph.retargeting.rules.node_writer import DOUBLE, FLOAT, HALF, INT32, Writer
from tfgraph.retargeting.rules.registry import rule

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

FLOATS = (FLOAT, DOUBLE, HALF)


@rule("Cos", until="tf1.13")
@rule("Log", until="tf1.13")
@rule("Rsqrt", until="tf1.15")
@rule("Sin", until="tf1.13")
@rule("Sqrt", until="tf1.15")
def in_double(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Compute it in float64, whose kernels are right.

    In float32 the angle of a million is off by 0.03. The logarithm of infinity is 89, its root is
    NaN, and the root of 3e38 is 2.6e19.
    """
    if node.attr["T"].type != FLOAT:
        return None
    write = Writer(node)
    wide = write.add("wide", "Cast", node.input[0], SrcT=FLOAT, DstT=DOUBLE)
    result = write.add("result", node.op, wide, T=DOUBLE)
    return write.last("Cast", result, SrcT=DOUBLE, DstT=FLOAT)


@rule("Sign", until="tf1.15")
@rule("Tanh", until="tf1.13")
def but_nan(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Return NaN for NaN, where the kernels return 0 or −1."""
    dtype, write = node.attr["T"].type, Writer(node)
    if dtype != FLOAT and (node.op == "Tanh" or dtype not in FLOATS):
        return None
    none = write.add("none", "IsNan", node.input[0], T=dtype)
    result = write.add("result", node.op, node.input[0], T=dtype)
    return write.last("Select", none, node.input[0], result, T=dtype)


@rule("Neg", until="tf1.15")
def times_minus_one(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Compute x·(−1): the kernels of 1.13 and 1.15 compute 0 − x, so that 1/(−0) is +inf there."""
    dtype, write = node.attr["T"].type, Writer(node)
    if dtype not in FLOATS:
        return None
    return write.last("Mul", node.input[0], write.const("minus_one", -1, dtype), T=dtype)


@rule("Maximum", until="tf1.15")
@rule("Minimum", until="tf1.15")
def larger_or_nan(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Return NaN where either side is NaN. The kernels lose the NaN of one side or of both."""
    dtype, write = node.attr["T"].type, Writer(node)
    sides = [side for side in node.input[:2] if _may_be_nan(side, shapes)]
    if dtype not in FLOATS or not sides or node.input[0] == node.input[1]:
        return None
    minus_zero = write.const("minus_zero", -0.0, dtype)
    result = write.add("result", node.op, *node.input[:2], T=dtype)
    for number, side in enumerate(sides, start=1):
        # This is NaN, or minus zero, which changes no number.
        sizes = write.shape(f"sizes_{number}", side, dtype)
        zero = write.add(f"zero_{number}", "Fill", sizes, minus_zero, T=dtype, index_type=INT32)
        none = write.add(f"none_{number}", "IsNan", side, T=dtype)
        nan = write.add(f"nan_{number}", "Select", none, side, zero, T=dtype)
        last = "" if number == len(sides) else f"result_{number}"
        result = write.add(last, "Add", result, nan, T=dtype)
    return write.nodes


def _may_be_nan(side: str, shapes: Shapes) -> bool:
    value = shapes.constant(side)
    return value is None or bool(np.isnan(value.astype(np.float64)).any())


@rule("Max", until="tf1.15")
@rule("Min", until="tf1.15")
def largest_or_nan(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Return NaN where any number is NaN, because the kernels lose it."""
    dtype, write = node.attr["T"].type, Writer(node)
    if dtype not in FLOATS:
        return None
    kept, axes = node.attr["keep_dims"].b, node.attr["Tidx"].type
    result = write.add("result", node.op, *node.input[:2], T=dtype, Tidx=axes)
    each = write.add("each", "IsNan", node.input[0], T=dtype)
    some = write.add("some", "Any", each, node.input[1], Tidx=axes)
    for reduction in (write.nodes[0], write.nodes[-1]):
        reduction.attr["keep_dims"].b = kept
    nan = write.add("nan", "Add", result, write.const("none", np.nan, dtype), T=dtype)
    return write.last("Select", some, nan, result, T=dtype)


@rule("Erf", until="tf2")
def erf(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Clip the input to [−6, 6], because today's float64 kernel returns NaN for infinity."""
    if node.attr["T"].type != DOUBLE:
        return None
    write = Writer(node)
    less = write.add("less", "Minimum", node.input[0], write.const("six", 6, DOUBLE), T=DOUBLE)
    inside = write.add("inside", "Maximum", less, write.const("minus_six", -6, DOUBLE), T=DOUBLE)
    return write.last("Erf", inside, T=DOUBLE)
