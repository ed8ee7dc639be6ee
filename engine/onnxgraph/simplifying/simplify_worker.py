"""Simplify one ONNX file into another. `simplifier` runs this script as a process.

Call: `python simplify_worker.py IN OUT ROUNDS`. Prints a line for each round: the number of nodes
before it, after constant folding, after the optimiser's passes, and whether anything changed.
"""

import sys

import onnx
import onnxsim

LARGEST = "64MB"
"""A constant that would be larger than this stays computed, so that the file does not grow."""


def outline(model: onnx.ModelProto) -> list:
    """Return what a round must change to count: operators, attributes and weights, but not
    names."""
    nodes = [
        (
            node.op_type,
            sorted(each.SerializeToString(deterministic=True) for each in node.attribute),
        )
        for node in model.graph.node
    ]
    weights = [(tensor.data_type, list(tensor.dims)) for tensor in model.graph.initializer]
    return [sorted(nodes), sorted(weights)]


def main(source: str, target: str, most: int) -> None:
    """Simplify until nothing changes, at most `most` times."""
    model = onnx.load(source)
    for _ in range(most):
        was = outline(model)
        counts = [len(model.graph.node)]
        for step in ({"perform_optimization": False}, {"skip_constant_folding": True}):
            model, _ = onnxsim.simplify(model, check_n=0, tensor_size_threshold=LARGEST, **step)
            counts.append(len(model.graph.node))
        changed = outline(model) != was
        print("round:", *counts, int(changed), flush=True)
        if not changed:
            break
    onnx.save(model, target)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
