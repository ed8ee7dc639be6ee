"""Simplify one ONNX file into another; run by `simplify` in a process of its own.

Call: `python simplify_worker.py IN OUT ROUNDS`. Prints the number of rounds that changed something.
"""

import sys

import onnx
import onnxsim


def outline(model: onnx.ModelProto) -> list:
    """Return what a round must change to count: operators, attributes and weights, whatever their
    names.
    """
    nodes = [
        (
            node.op_type,
            sorted(each.SerializeToString(deterministic=True) for each in node.attribute),
        )
        for node in model.graph.node
    ]
    weights = [(tensor.data_type, list(tensor.dims)) for tensor in model.graph.initializer]
    return [sorted(nodes), sorted(weights)]


def main(source: str, target: str, most: int) -> int:
    """Simplify until nothing changes, `most` times at the most, and return the rounds that
    changed it.
    """
    model = onnx.load(source)
    before = outline(model)
    rounds = 0
    while rounds < most:
        model, _ = onnxsim.simplify(model, check_n=0)
        after = outline(model)
        if after == before:
            break
        before = after
        rounds += 1
    onnx.save(model, target)
    return rounds


if __name__ == "__main__":
    print("rounds", main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
