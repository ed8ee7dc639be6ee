"""If, Loop and Scan, whose bodies read outer tensors."""

import numpy as np
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from steps.step import Unfit, pick, step

OPS = ("Add", "Sub", "Mul", "Max", "Min")


def _info(name, dtype, shape):
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
    )


@step("If", 11)
def branches(draw, sketch):
    """Add an If whose condition is computed, fed or constant."""
    x = pick(draw, sketch, ("float32",))
    conditions = [t for t in sketch.tensors if t.dtype == "bool" and t.shape == ()]
    if conditions and draw(st.booleans()):
        condition = draw(st.sampled_from(conditions))
    else:
        condition = sketch.weight(np.array(draw(st.booleans())))
    number, graphs = len(sketch.nodes), {}
    for label in ("then", "else"):
        name = f"{label}_{number}"
        operand = numpy_helper.from_array(np.array(draw(st.sampled_from((1.0, 0.0, 41.0))),
                                                   np.float32), f"{name}_w")  # fmt: skip
        nodes = [helper.make_node(draw(st.sampled_from(OPS)), [x.name, operand.name], [name])]
        outputs = [_info(name, x.dtype, x.shape)]
        graphs[f"{label}_branch"] = helper.make_graph(nodes, label, [], outputs, [operand])
    sketch.read.add(x.name)
    sketch.node("If", [condition], (x.dtype, x.shape, x.exact), **graphs)


@step("Loop", 11)
def loop(draw, sketch):
    """Add a Loop with a state, and with every iteration's value as an output.

    It has 0 to 3 iterations.
    """
    x = pick(draw, sketch, ("float32",), most=4)
    times = draw(st.integers(0, 3))
    operand = np.array(draw(st.sampled_from((0.5, 1.0))), np.float32)
    number, op = len(sketch.nodes), draw(st.sampled_from(OPS))
    names = [f"{n}_{number}" for n in ("i", "go", "state", "go_out", "next", "each")]
    body = helper.make_graph(
        [
            helper.make_node("Identity", [names[1]], [names[3]]),
            helper.make_node(op, [names[2], f"w_{number}"], [names[4]]),
            helper.make_node("Neg", [names[4]], [names[5]]),
        ],
        "body",
        [
            helper.make_tensor_value_info(names[0], TensorProto.INT64, []),
            helper.make_tensor_value_info(names[1], TensorProto.BOOL, []),
            _info(names[2], x.dtype, x.shape),
        ],
        [
            helper.make_tensor_value_info(names[3], TensorProto.BOOL, []),
            _info(names[4], x.dtype, x.shape),
            _info(names[5], x.dtype, x.shape),
        ],
        [numpy_helper.from_array(operand, f"w_{number}")],
    )
    inputs = [sketch.weight(np.array(times, np.int64)), sketch.weight(np.array(True)), x]
    outputs = [(x.dtype, x.shape, x.exact), (x.dtype, (times, *x.shape), x.exact)]
    sketch.node("Loop", inputs, *outputs, body=body)


@step("Scan", 11)
def scan(draw, sketch):
    """Add a Scan that sums along the first axis, which may be symbolic."""
    x = pick(draw, sketch, ("float32",), least=1, most=4)
    number = len(sketch.nodes)
    element = x.shape[1:]
    if any(isinstance(dim, str) for dim in element):
        raise Unfit
    initial = sketch.weight(np.zeros(element, np.float32))
    names = [f"{n}_{number}" for n in ("sum", "row", "sum_out", "each")]
    body = helper.make_graph(
        [
            helper.make_node("Add", names[:2], [names[2]]),
            helper.make_node("Identity", [names[2]], [names[3]]),
        ],
        "body",
        [_info(name, x.dtype, element) for name in names[:2]],
        [_info(name, x.dtype, element) for name in names[2:]],
    )
    outputs = [(x.dtype, element, False), (x.dtype, x.shape, False)]
    sketch.node("Scan", [initial, x], *outputs, body=body, num_scan_inputs=1)
