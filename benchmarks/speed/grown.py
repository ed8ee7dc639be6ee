"""Write ONNX models of any size: `python grown.py nodes 1000 out.onnx`, or `weights 500` (MB)."""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 8
WIDTH = 1024
INLINE = 1900
"""The megabytes that fit into one file. Larger weights are in a file beside it."""


def residual_chain(nodes):
    """Return blocks of Conv, Relu, Add and Clip, which have four nodes each and few weights."""
    random = np.random.default_rng(0)
    shape = (CHANNELS, CHANNELS, 3, 3)
    weights = [0.1 * random.standard_normal(shape, dtype=np.float32) for _ in range(4)]
    constants = [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)]
    for name, limit in (("low", -3), ("high", 3)):
        constants.append(numpy_helper.from_array(np.float32(limit), name))
    made, x = [], "x"
    for i in range(round(nodes / 4)):
        make = helper.make_node
        made += [
            make("Conv", [x, f"w{i % 4}"], [f"conv{i}"], pads=[1] * 4),
            make("Relu", [f"conv{i}"], [f"relu{i}"]),
            make("Add", [f"relu{i}", x], [f"sum{i}"]),
            make("Clip", [f"sum{i}", "low", "high"], [f"block{i}"]),
        ]
        x = f"block{i}"
    return made, constants, x, ["batch", CHANNELS, 8, 8]


def layers(megabytes):
    """Return matrix products with that many megabytes of weights."""
    random = np.random.default_rng(0)
    weights = random.standard_normal((WIDTH, WIDTH), dtype=np.float32) * (2 / WIDTH) ** 0.5
    count = max(1, round(megabytes * 1e6 / weights.nbytes))
    constants, made, x = [], [], "x"
    for i in range(count):
        constants.append(numpy_helper.from_array(np.roll(weights, i, axis=0), f"w{i}"))
        made.append(helper.make_node("MatMul", [x, f"w{i}"], [f"product{i}"]))
        made.append(helper.make_node("Relu", [f"product{i}"], [f"layer{i}"]))
        x = f"layer{i}"
    return made, constants, x, ["batch", WIDTH]


def main():
    kind, size, path = sys.argv[1:]
    build = {"nodes": residual_chain, "weights": layers}[kind]
    nodes, constants, last, shape = build(int(size))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "grown",
        [value("x", TensorProto.FLOAT, shape)], [value(last, TensorProto.FLOAT, shape)], constants,
    )  # fmt: skip
    for index, node in enumerate(graph.node):
        node.name = f"{node.op_type}{index}"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    beside = kind == "weights" and int(size) > INLINE
    location = f"{path.rpartition('/')[2]}.data" if beside else None
    onnx.save(model, path, save_as_external_data=beside, location=location)
    print("{}")


if __name__ == "__main__":
    main()
