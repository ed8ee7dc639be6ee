"""What a model uses the values of its inputs for: indices, lengths, sizes, shares, conditions.

A role is read from the first nodes that use the values, after nodes that only move them.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from graphcore.spec import Dim
from onnxgraph.model import external, interface
from onnxgraph.model.graphs import graphs
from onnxgraph.model.inference import InferenceFailed, infer_shapes
from onnxgraph.model.weightless import without_weights


@dataclass(frozen=True)
class Role:
    """The use of an input's values.

    Kinds: "index" into an axis of `size`, "class" of so many, "count" from `least` to `size`,
    "parts" that add up to `size`, "target" of a Reshape, "share" of one, "positive", "region" (two
    corners), "yes" (a condition) and "off".
    """

    kind: str
    size: Dim | None = None
    least: int = 1


MOVING = {
    "Cast", "CastLike", "Concat", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Reshape",
    "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip
"""Ops whose results hold values of their first input (Concat: of any input)."""


class _Facts:
    """The shapes and the constants of a model."""

    def __init__(self, model: onnx.ModelProto) -> None:
        copy = without_weights(model)
        with contextlib.suppress(InferenceFailed):  # stated shapes are still known
            copy = infer_shapes(copy, data_prop=True)
        self._dims: dict[str, tuple[Dim | None, ...] | None] = {}
        self._weights: dict[str, onnx.TensorProto] = {}
        for graph in graphs(copy.graph):
            for value in (*graph.value_info, *graph.input, *graph.output):
                self._dims[value.name] = interface.dims(value)
            self._weights.update((tensor.name, tensor) for tensor in graph.initializer)
            for node in graph.node:
                if node.op_type == "Constant" and node.attribute[0].name == "value":
                    self._weights[node.output[0]] = node.attribute[0].t

    def rank(self, name: str) -> int | None:
        dims = self.dims(name)
        return None if dims is None else len(dims)

    def dims(self, name: str) -> tuple[Dim | None, ...] | None:
        if name in self._weights:
            return tuple(self._weights[name].dims)
        return self._dims.get(name)

    def dim(self, name: str, axis: int) -> Dim | None:
        dims = self.dims(name)
        inside = dims is not None and -len(dims) <= axis < len(dims)
        return dims[axis] if dims is not None and inside else None

    def number(self, name: str) -> int | None:
        """Return the value of a constant that is one number."""
        tensor = self._weights.get(name)
        if tensor is None or np.prod(tensor.dims, dtype=int) != 1:
            return None
        return int(external.values(tensor).ravel()[0])


Reader = Callable[[onnx.NodeProto, _Facts], Role]


def _attribute(node: onnx.NodeProto, name: str, default: int = 0) -> int:
    return next((each.i for each in node.attribute if each.name == name), default)


def _on_axis(default: int = 0) -> Reader:
    return lambda node, facts: Role(
        "index", facts.dim(node.input[0], _attribute(node, "axis", default))
    )


def _of_all_axes(node: onnx.NodeProto, facts: _Facts) -> Role:
    """Return the role of GatherND's and ScatterND's indices: below the smallest size."""
    dims = facts.dims(node.input[0]) or ()
    depth = facts.dim(node.input[1], -1)
    first = _attribute(node, "batch_dims")
    used = dims[first:][: depth if isinstance(depth, int) else None]
    sizes = [dim for dim in used if isinstance(dim, int)]
    return Role("index", min(sizes) if sizes else next(iter(used), None))


def _steps(node: onnx.NodeProto, facts: _Facts) -> Role:
    """Return the role of the lengths of a recurrent node's sequences."""
    return Role("count", facts.dim(node.input[0], _attribute(node, "layout")))


def _axis(node: onnx.NodeProto, facts: _Facts) -> Role:
    return Role("index", facts.rank(node.input[0]))


def _new_axis(node: onnx.NodeProto, facts: _Facts) -> Role:
    rank, more = facts.rank(node.input[0]), facts.dim(node.input[1], 0)
    both = isinstance(rank, int) and isinstance(more, int)
    return Role("index", rank + more if both else None)  # type: ignore[operator]


def _is(kind: str, size: Dim | None = None, least: int = 1) -> Reader:
    return lambda node, facts: Role(kind, size, least)


READERS: dict[tuple[str, int], Reader] = {
    ("Gather", 1): _on_axis(),
    ("GatherElements", 1): _on_axis(),
    ("ScatterElements", 1): _on_axis(),
    ("Scatter", 1): _on_axis(),
    ("GatherND", 1): _of_all_axes,
    ("ScatterND", 1): _of_all_axes,
    ("TensorScatter", 2): _is("count", 1, 0),
    ("OneHot", 0): lambda node, facts: Role("class", facts.number(node.input[1])),
    ("OneHot", 1): _is("count", 6, 2),
    ("RoiAlign", 1): _is("region"),
    ("RoiAlign", 2): lambda node, facts: Role("index", facts.dim(node.input[0], 0)),
    ("MaxRoiPool", 1): _is("region"),
    ("NonMaxSuppression", 0): _is("region"),
    ("NonMaxSuppression", 1): _is("share"),
    ("NonMaxSuppression", 2): _is("count", 5),
    ("NonMaxSuppression", 3): _is("share"),
    ("NonMaxSuppression", 4): _is("share"),
    ("LSTM", 4): _steps,
    ("GRU", 4): _steps,
    ("RNN", 4): _steps,
    ("ReverseSequence", 1): lambda node, facts: Role(
        "count", facts.dim(node.input[0], _attribute(node, "time_axis"))
    ),
    ("NegativeLogLikelihoodLoss", 1): lambda node, facts: Role(
        "index", facts.dim(node.input[0], 1)
    ),
    ("SoftmaxCrossEntropyLoss", 1): lambda node, facts: Role("index", facts.dim(node.input[0], 1)),
    ("Reshape", 1): _is("target"),
    ("Expand", 1): _is("count", 1),
    ("Tile", 1): _is("count", 3),
    ("ConstantOfShape", 0): _is("count", 5),
    ("Resize", 3): _is("count", 9, 5),
    ("Resize", 2): _is("positive"),
    ("Upsample", 1): _is("positive"),
    ("TopK", 1): lambda node, facts: Role(
        "count", facts.dim(node.input[0], _attribute(node, "axis", -1))
    ),
    ("Split", 1): lambda node, facts: Role(
        "parts", facts.dim(node.input[0], _attribute(node, "axis"))
    ),
    ("CumSum", 1): _axis,
    ("Squeeze", 1): _axis,
    ("Unsqueeze", 1): _new_axis,
    ("Pad", 1): _is("count", 2, 0),
    ("STFT", 1): _is("count", 8, 3),
    ("STFT", 3): _is("count", 16, 9),
    ("DFT", 1): _is("count", 16, 9),
    ("DFT", 2): _is("index", 1),
    ("HannWindow", 0): _is("count", 16, 9),
    ("HammingWindow", 0): _is("count", 16, 9),
    ("BlackmanWindow", 0): _is("count", 16, 9),
    ("BatchNormalization", 4): _is("positive"),
    ("Dropout", 1): _is("off"),
    ("Dropout", 2): _is("off"),
    ("BitShift", 1): _is("count", 7, 0),
    ("Loop", 0): _is("count", 4, 3),
    ("Loop", 1): _is("yes"),
    ("If", 0): _is("yes"),
    ("RotaryEmbedding", 3): lambda node, facts: Role("index", facts.dim(node.input[1], 0)),
}
"""Op and position of its input to what the values there are for."""

for _op in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"):
    READERS["Reduce" + _op, 1] = _axis


def roles(model: onnx.ModelProto) -> dict[str, Role]:
    """Return the roles of inputs by name. An input without a role is left out."""
    facts = _Facts(model)
    users = _users(model.graph)
    found = {}
    for name in (value.name for value in interface.fed(model.graph)):
        known = [READERS[use](node, facts) for node, use in _uses(name, users)]
        if known:
            found[name] = min(known, key=_narrowness)
    return found


def _narrowness(role: Role) -> float:
    """Return a number that is smaller for a role that allows fewer values."""
    return role.size if isinstance(role.size, int) else float("inf")


def _users(graph: onnx.GraphProto) -> dict[str, list[tuple[onnx.NodeProto, int]]]:
    users: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for part in graphs(graph):
        for node in part.node:
            for position, name in enumerate(node.input):
                users.setdefault(name, []).append((node, position))
    return users


def _uses(
    name: str, users: Mapping[str, list[tuple[onnx.NodeProto, int]]]
) -> Iterator[tuple[onnx.NodeProto, tuple[str, int]]]:
    """Yield the nodes that determine the use of a value, after those that only move it."""
    waiting, seen = [name], {name}
    while waiting:
        for node, position in users.get(waiting.pop(), ()):
            if (node.op_type, position) in READERS:
                yield node, (node.op_type, position)
            elif node.op_type in MOVING and (position == 0 or node.op_type == "Concat"):
                outputs = node.output if node.op_type == "Split" else node.output[:1]
                new = [output for output in outputs if output not in seen]
                waiting += new
                seen.update(new)


SUMMING = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
SCALING = {"Add", "BatchNormalization", "Div", "Mul", "Sub"}


def summed_at_once(model: onnx.ModelProto) -> set[str]:
    """Return the inputs whose values go into weighted sums only, at most scaled before.

    Single special values have no visible effect in a network that adds them to others at once.
    """
    users = _users(model.graph)
    weights = {tensor.name for tensor in model.graph.initializer}
    outputs = {value.name for value in model.graph.output}

    def only_summed(name: str) -> bool:
        waiting, seen = [name], {name}
        while waiting:
            tensor = waiting.pop()
            if tensor in outputs or tensor not in users:
                return False
            for node, _ in users[tensor]:
                scales = node.op_type in SCALING and weights & set(node.input)
                if node.op_type in MOVING or scales:
                    new = [output for output in node.output if output and output not in seen]
                    waiting += new
                    seen.update(new)
                elif node.op_type not in SUMMING:
                    return False
        return True

    return {value.name for value in interface.fed(model.graph) if only_summed(value.name)}
