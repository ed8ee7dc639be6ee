"""Barriers where TensorFlow's own optimiser would make something else of the graph.

It runs when a graph is converted, and again in every TensorFlow from 1.13 on that loads it. Some of
what it takes for equal is not: the largest of sigmoids need not lie where the largest argument does
(several are 1), a constant that is added and taken away again rounds, and what is not less than a
number may be no number. A barrier is the larger of a tensor and itself, which no version removes.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nbhelpers.convert.graphs.frozen import FrozenGraph, computed_from_constants
from nbhelpers.convert.graphs.order import maker
from nbhelpers.convert.rules.rewriting import Shapes, new

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_FLOATS = {1, 2, 14, 19}
"""TensorFlow's numbers for float32, float64, bfloat16 and float16."""

_PARTIAL = {"Acos", "Acosh", "Asin", "Atanh", "Inv", "Log", "Log1p", "Reciprocal", "Rsqrt", "Sqrt"}
"""Ops that are monotonic where they are defined; the largest of their results is not a number where
one of them is not, and the reciprocals of 1 and -1 stand in another order.
"""

_MONOTONIC = _PARTIAL | {
    "Asinh", "Atan", "Ceil", "Elu", "Erf", "Erfc", "Exp", "Expm1", "Floor", "Neg", "Relu", "Relu6",
    "Rint", "Selu", "Sigmoid", "Sign", "Sinh", "Softplus",
    "Softsign", "Tanh",
}  # fmt: skip
"""Ops that may make equal numbers of different ones, or that such a one is found behind."""

_SUMS = {"Add", "AddV2", "Sub"}
_QUOTIENTS = {"Div", "RealDiv"}
_PRODUCTS = _QUOTIENTS | {"Mul"}
_COMPARISONS = {"Less", "LessEqual", "Greater", "GreaterEqual"}
_STEPS = _COMPARISONS | {
    "ArgMax", "ArgMin", "Ceil", "Equal", "Floor", "FloorMod", "Mod", "NotEqual", "Rint", "Round",
    "Sign",
}  # fmt: skip
"""Ops for which the last digit of a number may be all the difference."""

_MIXING = {
    "AvgPool", "AvgPool3D", "BatchMatMul", "BatchMatMulV2", "Conv2D", "Conv2DBackpropInput",
    "Conv3D", "Conv3DBackpropInputV2", "CropAndResize", "DepthwiseConv2dNative", "MatMul", "Mean",
    "ResizeBicubic", "ResizeBilinear", "Softmax", "Sum",
}  # fmt: skip
"""Ops that add up many numbers, whose last digits are worth nothing then."""


class _Sources:
    """The nodes of a graph by the references of others, seen through what passes a tensor on."""

    def __init__(self, graph: FrozenGraph) -> None:
        self._graph = graph
        self._nodes = {node.name: node for node in graph.hollow.node}
        self._constants = computed_from_constants(graph.hollow, graph.weights)
        self._shapes = Shapes(graph)

    def node(self, reference: str) -> "NodeDef":
        """Return the node that makes a tensor."""
        node = self._nodes[maker(reference)]
        while node.op == "Identity":
            node = self._nodes[maker(node.input[0])]
        return node

    def unused(self, name: str) -> str:
        """Return a name that no node has."""
        while name in self._nodes:
            name += "_"
        return name

    def behind(self, reference: str, passing: set[str], wanted: set[str]) -> bool:
        """Whether an op that is wanted makes a tensor, or one that `passing` ops make it of: those
        are moved out of the way.
        """
        seen: set[str] = set()
        waiting = [reference]
        while waiting:
            node = self.node(waiting.pop())
            if node.op in wanted:
                return True
            if node.op in passing and node.name not in seen:
                seen.add(node.name)
                waiting += node.input
        return False

    def constant(self, reference: str) -> bool:
        """Whether a tensor hangs on constants alone."""
        return maker(reference) in self._constants

    def value(self, reference: str) -> np.ndarray | None:
        """Return a tensor's value, if it is a constant and nothing that is computed of some."""
        return self._shapes.constant(self.node(reference).name)

    @cached_property
    def exact(self) -> set[str]:
        """The nodes whose last digit makes a step further down."""
        found: set[str] = set()
        for node in reversed(self._graph.hollow.node):
            if (
                node.op in _STEPS
                or _to_integers(node)
                or (node.op not in _MIXING and node.name in found)
            ):
                found.update(map(maker, node.input))
        return found


def with_barriers(graph: FrozenGraph) -> FrozenGraph:
    """Return the graph with a barrier wherever the optimiser would compute something else.

    Args:
        graph: a frozen graph; inputs stand before what reads them.
    """
    sources = _Sources(graph)
    hollow = type(graph.hollow)()
    hollow.CopyFrom(graph.hollow)
    del hollow.node[:]
    for node in graph.hollow.node:
        rule = _RULES.get(node.op)
        barred = sorted(set(rule(node, sources))) if rule else []
        added = type(node)()
        added.CopyFrom(node)
        for index in barred:
            barrier = _barrier(node, index, sources)
            hollow.node.extend(barrier)
            added.input[index] = barrier[-1].name
        hollow.node.append(added)
    return FrozenGraph(hollow, graph.weights)


def _barrier(reader: "NodeDef", index: int, sources: _Sources) -> "list[NodeDef]":
    """Return the nodes that stand before an input; the last one makes it."""
    name, source = sources.unused(f"{reader.name}/barrier_{index}"), reader.input[index]
    if reader.op == "LogicalNot":
        return [new(name, "LogicalAnd", [source, source])]
    dtype = reader.attr["T"].type
    if not sources.constant(source):
        return [new(name, "Maximum", [source, source], T=dtype)]
    # Of a constant alone it would be folded: this is the constant, too, whatever the other one is.
    least = new(f"{name}/least", "Minimum", [reader.input[1 - index], source], T=dtype)
    return [least, new(name, "Maximum", [source, least.name], T=dtype)]


def _to_integers(node: "NodeDef") -> bool:
    if node.op != "Cast":
        return False
    return node.attr["SrcT"].type in _FLOATS and node.attr["DstT"].type not in _FLOATS


def _places(node: "NodeDef", sources: _Sources) -> Iterator[int]:
    """Where the largest lies is looked for behind an op that makes equal numbers."""
    if sources.behind(node.input[0], {"ConcatV2"}, _MONOTONIC):
        yield 0


def _largest(node: "NodeDef", sources: _Sources) -> Iterator[int]:
    """The largest is taken before a function that is not defined for the others."""
    if sources.behind(node.input[0], _MONOTONIC - _PARTIAL | {"ConcatV2"}, _PARTIAL):
        yield 0


def _sums(node: "NodeDef", sources: _Sources) -> Iterator[int]:
    """A constant is taken away that was added before: what that rounded off comes back."""
    for index, constants in _chained(_SUMS, node, sources):
        values = [sources.value(each) for each in constants]
        if node.name in sources.exact or (len(values) == 2 and _cancel(*values)):
            yield index


def _products(node: "NodeDef", sources: _Sources) -> Iterator[int]:
    """Two factors become one: what was too large for the type on the way is not any more."""
    for index, constants in _chained(_PRODUCTS, node, sources):
        if node.name in sources.exact or len(constants) == 2:
            yield index


def _quotients(node: "NodeDef", sources: _Sources) -> Iterator[int]:
    """What is divided by a constant is multiplied with its reciprocal: 41 times that is below 1."""
    yield from _products(node, sources)
    if node.attr["T"].type not in _FLOATS or node.name not in sources.exact:
        return
    divisor = sources.value(node.input[1])
    becomes_rsqrt = sources.node(node.input[1]).op == "Sqrt"
    if becomes_rsqrt or (divisor is not None and not _power_of_2(divisor)):
        yield 1


def _power_of_2(value: np.ndarray) -> bool:
    return bool((np.abs(np.frexp(value.astype(np.float64))[0]) == 0.5).all())


def _chained(
    family: set[str], node: "NodeDef", sources: _Sources
) -> Iterator[tuple[int, list[str]]]:
    """Yield the input of a node, which takes a constant, that another op of its family makes, and
    the constants that both take: the node's goes to one of the other's inputs.
    """
    if node.attr["T"].type not in _FLOATS:
        return
    for index in (0, 1):
        inner, own = sources.node(node.input[index]), node.input[1 - index]
        while inner.op == "Neg":
            inner = sources.node(inner.input[0])
        if inner.op in family and sources.constant(own) and not sources.constant(inner.name):
            yield index, [own, *filter(sources.constant, inner.input)]


def _cancel(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Whether the difference of two sizes has lost two digits, or may have."""
    if first is None or second is None:
        return True
    first, second = np.abs(first), np.abs(second)
    return bool((np.abs(first - second) * 64 < np.maximum(first, second)).any())


def _leaky(node: "NodeDef", sources: _Sources) -> Iterator[int]:
    """The larger of x and a multiple of x is taken for a LeakyRelu, but it is one up to 1 only."""
    for index in (0, 1):
        inner, other = sources.node(node.input[index]), sources.node(node.input[1 - index])
        multiple = inner.op in _PRODUCTS | {"Add", "AddV2"}
        if multiple and other.name in [sources.node(each).name for each in inner.input]:
            values = [sources.value(each) for each in inner.input]
            factor = next((value for value in values if value is not None), np.array(2))
            factor = 1 / factor if inner.op in _QUOTIENTS else factor
            if not ((factor >= 0) & (factor <= 1)).all():
                yield index


def _negated(node: "NodeDef", sources: _Sources) -> Iterator[int]:
    """What is not less is taken for greater or equal, which what is no number is not."""
    inner = sources.node(node.input[0])
    if inner.op in _COMPARISONS and inner.attr["T"].type in _FLOATS:
        yield 0


_RULES: "dict[str, Callable[[NodeDef, _Sources], Iterator[int]]]" = {
    **dict.fromkeys(("ArgMax", "ArgMin"), _places),
    **dict.fromkeys(("Max", "Min"), _largest),
    **dict.fromkeys(_SUMS, _sums),
    **dict.fromkeys(_QUOTIENTS, _quotients),
    "Mul": _products,
    "Maximum": _leaky,
    "LogicalNot": _negated,
}
"""Op → rule, which yields the inputs that need a barrier."""
