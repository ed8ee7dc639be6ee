"""Rules for elementwise ops."""

from typing import TYPE_CHECKING

import numpy as np

from tfgraph.graphs.node_defs import const, like, new
from tfgraph.graphs.shapes import Shapes
from tfgraph.retargeting.rules.broadcasting import broadcast
from tfgraph.retargeting.rules.node_writer import INT32, Writer
from tfgraph.retargeting.rules.registry import rule

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


@rule("AddV2")
def add_v2(node: "NodeDef", shapes: Shapes) -> list["NodeDef"]:
    """Use Add, which differs only for strings and in how gradients are grouped."""
    return [like(node, "Add", "T")]


@rule("SelectV2")
def select_v2(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Broadcast first, then use Select, which does not. A scalar condition stays a scalar."""
    from tensorflow.core.framework import types_pb2

    dtype = node.attr["T"].type
    known = [shapes.of(source) for source in node.input[:3]]
    if any(shape is None for shape in known):
        return None
    kinds = [types_pb2.DT_BOOL, dtype, dtype]
    keep = [0] if known[0] == () else []
    nodes, sources = broadcast(node, list(node.input[:3]), kinds, shapes, keep=keep)
    return [*nodes, new(node.name, "Select", sources, T=dtype)]


@rule("LeakyRelu")
def leaky_relu(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Compute max(x, αx), which is the same for 0 ≤ α ≤ 1."""
    alpha, source = node.attr["alpha"].f, node.input[0]
    if not 0 <= alpha <= 1:
        return None
    dtype = node.attr["T"].type
    scale = const(f"{node.name}/alpha", np.array(alpha), dtype)
    scaled = new(f"{node.name}/scaled", "Mul", [source, scale.name], T=dtype)
    return [scale, scaled, new(node.name, "Maximum", [source, scaled.name], T=dtype)]


@rule("_UnaryOpsComposition", until="tf2")
def unary_ops_composition(node: "NodeDef", shapes: Shapes) -> list["NodeDef"]:
    """Write the ops one after another, because only one process knows the optimiser's own op."""
    names = [name.decode() for name in node.attr["op_names"].list.s]
    nodes: list[NodeDef] = []
    source = node.input[0]
    for index, op in enumerate(names):
        name = node.name if index == len(names) - 1 else f"{node.name}/{index}_{op}"
        nodes.append(new(name, op, [source], T=node.attr["T"].type))
        source = name
    return nodes


@rule("LeftShift")
def left_shift(node: "NodeDef", shapes: Shapes) -> list["NodeDef"]:
    """Compute x·2ⁿ in int64 and cast back. Both ways the bits that overflow are lost."""
    nodes, value, amount = _shift_operands(node)
    return [*nodes, *_scaled(node, value, amount, "Mul")]


@rule("RightShift")
def right_shift(node: "NodeDef", shapes: Shapes) -> list["NodeDef"]:
    """Compute x/2ⁿ in int64, rounded down, in two steps because int64 does not hold 2⁶³."""
    from tensorflow.core.framework import types_pb2

    int64 = types_pb2.DT_INT64
    nodes, value, amount = _shift_operands(node)
    two = const(f"{node.name}/halves", np.array(2), int64)
    half = new(f"{node.name}/half", "FloorDiv", [amount, two.name], T=int64)
    rest = new(f"{node.name}/rest", "Sub", [amount, half.name], T=int64)
    first = _power(node, "first", half.name)
    divided = new(f"{node.name}/divided", "FloorDiv", [value, first[-1].name], T=int64)
    last = _scaled(node, divided.name, rest.name, "FloorDiv")
    return [*nodes, two, half, rest, *first, divided, *last]


def _shift_operands(node: "NodeDef") -> tuple[list["NodeDef"], str, str]:
    """Return both operands in int64, with the amount clipped to [0, bits - 1] as the op does."""
    from tensorflow.core.framework import types_pb2
    from tensorflow.python.framework import dtypes

    dtype, int64 = node.attr["T"].type, types_pb2.DT_INT64
    bits = dtypes.as_dtype(dtype).size * 8
    casts = [
        new(f"{node.name}/{role}", "Cast", [source], SrcT=dtype, DstT=int64)
        for role, source in zip(("value", "amount"), node.input[:2], strict=True)
    ]
    zero = const(f"{node.name}/none", np.array(0), int64)
    most = const(f"{node.name}/most", np.array(bits - 1), int64)
    least = new(f"{node.name}/least", "Maximum", [casts[1].name, zero.name], T=int64)
    within = new(f"{node.name}/within", "Minimum", [least.name, most.name], T=int64)
    return [*casts, zero, most, least, within], casts[0].name, within.name


def _power(node: "NodeDef", role: str, amount: str) -> list["NodeDef"]:
    """Return the nodes that compute 2 to the power of `amount`."""
    from tensorflow.core.framework import types_pb2

    two = const(f"{node.name}/{role}/two", np.array(2), types_pb2.DT_INT64)
    power = new(f"{node.name}/{role}", "Pow", [two.name, amount], T=types_pb2.DT_INT64)
    return [two, power]


def _scaled(node: "NodeDef", value: str, amount: str, op: str) -> list["NodeDef"]:
    """Return the nodes that apply `op` to a value and 2 to the power of `amount`, and cast back."""
    from tensorflow.core.framework import types_pb2

    int64 = types_pb2.DT_INT64
    power = _power(node, "power", amount)
    wide = new(f"{node.name}/wide", op, [value, power[-1].name], T=int64)
    back = new(node.name, "Cast", [wide.name], SrcT=int64, DstT=node.attr["T"].type)
    return [*power, wide, back]


@rule("Softmax", until="tf1.4")
def softmax(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Compute it over two axes, because TensorFlow 1.4 takes no other rank."""
    return _over_two_axes(node, shapes)


@rule("LogSoftmax", until="tf1.4")
def log_softmax(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Compute it over two axes, because TensorFlow 1.4 takes no other rank."""
    return _over_two_axes(node, shapes)


def _over_two_axes(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Return the op between a Reshape to two axes and one back, both with sizes from run time."""
    dtype, source = node.attr["T"].type, node.input[0]
    shape = shapes.of(source)
    if shape is None or len(shape) in (0, 2):
        return None
    write = Writer(node)
    whole = write.shape("shape", source, dtype)
    size = write.part("size", whole, len(shape) - 1, 1)
    # -1 cannot replace the leading sizes, because it is not defined where another size is zero.
    before = write.part("before", whole, 0, len(shape) - 1)
    rows = write.add("rows", "Prod", before, write.const("first", [0]), T=INT32)
    write.nodes[-1].attr["keep_dims"].b = True
    two = write.joined("two", rows, size)
    flat = write.add("flat", "Reshape", source, two, T=dtype)
    done = write.add("done", node.op, flat, T=dtype)
    return write.last("Reshape", done, whole, T=dtype)
