"""One verb of `nbhelpers.onnxgraph` on the large file: `python ours.py verb folder`."""

import sys

import numpy as np
from worker import measured

from nbhelpers import onnxgraph as og


def middle(model):
    """Return the tensor between the two halves of the network."""
    return f"x{sum(node.op_type == 'MatMul' for node in model.graph.node) // 2}"


def two():
    """Return an operand."""
    return [np.float32(2)]


VERBS = {
    "load": lambda model, folder: og.load(folder / "whole.onnx"),
    "save": lambda model, folder: og.save(model, folder / "saved.onnx"),
    "anatomy": lambda model, folder: og.anatomy(model),
    "find_nodes": lambda model, folder: og.find_nodes(model, op="Relu"),
    "cost": lambda model, folder: og.cost(model),
    "weight_sizes": lambda model, folder: og.weight_sizes(model),
    "infer_shapes": lambda model, folder: og.infer_shapes(model),
    "insert_after": lambda model, folder: og.insert_after(
        model, middle(model), "Mul", others=two()
    ),
    "insert_before": lambda model, folder: og.insert_before(model, "relu7", "Mul", others=two()),
    "remove": lambda model, folder: og.remove(model, "relu7"),
    "replace": lambda model, folder: og.replace(model, "relu7", "LeakyRelu"),
    "rename": lambda model, folder: og.rename(model, {"x": "images", middle(model): "middle"}),
    "set_weight": lambda model, folder: og.set_weight(
        model, "w7", np.zeros((360, 360), np.float32)
    ),
    "set_attributes": lambda model, folder: og.set_attributes(model, "mean7", keepdims=1),
    "add_outputs": lambda model, folder: og.add_outputs(model, middle(model)),
    "cut": lambda model, folder: og.cut(model, outputs=middle(model)),
    "join": lambda model, folder: og.join(
        og.load(folder / "head.onnx"), og.load(folder / "tail.onnx"), {middle(model): middle(model)}
    ),
    "set_inputs": lambda model, folder: og.set_inputs(model, "x:float64:1,360"),
    "make_batch_dynamic": lambda model, folder: og.make_batch_dynamic(model),
    "lower_opset": lambda model, folder: og.lower_opset(model, 13),
    "simplify": lambda model, folder: og.simplify(model),
    "same": lambda model, folder: og.same(model, og.infer_shapes(model)),
}

if __name__ == "__main__":
    measured(VERBS[sys.argv[1]], sys.argv[2], og.load)
