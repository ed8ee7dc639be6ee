"""The file on which the verbs are measured: `python network.py folder [blocks]`.

It is a residual network of 1,000 blocks of five nodes, each block with a weight of 0.5 MB, for a
batch of 1. In all it has 5,002 nodes and 520 MB. Its form is that of the newer exporters (opset 18,
axes as inputs).
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

BLOCKS = 1000
WIDTH = 360


def network(first=0, last=BLOCKS, *, ends=True):
    """Return the blocks `first` to `last` as a model, with the two last nodes if `ends`."""
    random = np.random.default_rng(first)
    source = x = f"x{first - 1}" if first else "x"
    nodes, weights = [], []
    weights.append(numpy_helper.from_array(np.array([1], np.int64), "axes"))
    for n in range(first, last):
        values = random.standard_normal((WIDTH, WIDTH), np.float32) / WIDTH
        weights.append(numpy_helper.from_array(values, f"w{n}"))
        nodes += [
            helper.make_node("MatMul", [x, f"w{n}"], [f"m{n}"], name=f"matmul{n}"),
            helper.make_node("Relu", [f"m{n}"], [f"r{n}"], name=f"relu{n}"),
            helper.make_node("ReduceMean", [f"r{n}", "axes"], [f"c{n}"], name=f"mean{n}"),
            helper.make_node("Sub", [f"r{n}", f"c{n}"], [f"s{n}"], name=f"sub{n}"),
            helper.make_node("Add", [x, f"s{n}"], [f"x{n}"], name=f"add{n}"),
        ]
        x = f"x{n}"
    if ends:
        weights.append(numpy_helper.from_array(np.array([1, WIDTH], np.int64), "target"))
        nodes.append(helper.make_node("Reshape", [x, "target"], ["flat"], name="reshape"))
        nodes.append(helper.make_node("Tanh", ["flat"], ["y"], name="tanh"))
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "residual",
        [helper.make_tensor_value_info(source, kind, [1, WIDTH])],
        [helper.make_tensor_value_info("y" if ends else x, kind, [1, WIDTH])],
        weights,
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def main(folder, blocks=BLOCKS):
    """Write the whole file, and its two halves for the verbs that join."""
    folder, blocks = Path(folder), int(blocks)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(network(0, blocks), folder / "whole.onnx")
    onnx.save(network(0, blocks // 2 + 1, ends=False), folder / "head.onnx")
    onnx.save(network(blocks // 2 + 1, blocks), folder / "tail.onnx")
    (folder / "blocks").write_text(str(blocks))


if __name__ == "__main__":
    main(*sys.argv[1:])
