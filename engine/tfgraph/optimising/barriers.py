"""Barriers where TensorFlow's own optimiser would change what the graph computes.

The optimiser runs when a graph is converted, and again in every TensorFlow from 1.13 on that loads
the graph. It takes some things for equal that are not. For example, the largest of several sigmoids
need not be where the largest argument is, because several may be 1. A constant that is added and
subtracted again rounds the sum. A number that is not less than another one may be NaN.

A barrier is the maximum of a tensor and itself, and for booleans the logical and. TensorFlow 1.13,
1.15 and today's leave it alone. Each rule is for a rewrite that was seen to change a result in
random graphs. Rewrites that change no more than rounding does are allowed, such as sums in another
order, or more exact functions like LogSoftmax.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from graphcore.copies import copy_of
from tfgraph.graphs.frozen import FrozenGraph
from tfgraph.graphs.node_defs import new
from tfgraph.graphs.order import without_nodes
from tfgraph.optimising.provenance import COMPARISONS, FLOATS, Provenance, data_inputs

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_PARTIAL = {"Acos", "Acosh", "Asin", "Atanh", "Inv", "Log", "Log1p", "Reciprocal", "Rsqrt", "Sqrt"}
"""Ops that are monotonic only where they are defined.

Elsewhere they give NaN, or another order, as reciprocals do across zero.
"""

_MONOTONIC = _PARTIAL | {
    "Asinh", "Atan", "Ceil", "Elu", "Erf", "Erfc", "Exp", "Expm1", "Floor", "Neg", "Relu", "Relu6",
    "Rint", "Selu", "Sigmoid", "Sign", "Sinh", "Softplus", "Softsign", "Tanh",
}  # fmt: skip
"""Ops that the optimiser moves after Max and Min, and drops before ArgMax and ArgMin."""

_MOVED = {"ConcatV2", "ExpandDims", "Reshape", "Squeeze", "Transpose"}
"""Ops across which it moves such an op, or which it drops where they change nothing."""

_SUMS = {"Add", "AddV2", "Sub"}
_QUOTIENTS = {"Div", "RealDiv"}
_PRODUCTS = _QUOTIENTS | {"Mul"}

_SMALL = 64
"""A constant up to this size causes a rounding error below 4e-6 in float32."""

_LONGEST = 8
"""How many constants of a chain of sums are compared with each other."""

Rule = Callable[["NodeDef", Provenance], Iterator[int]]


def with_barriers(graph: FrozenGraph, *, exactly: bool = False) -> FrozenGraph:
    """Return the graph with a barrier wherever a rule knows that the optimiser changes a result.

    Args:
        graph: a frozen graph, whose nodes come after their inputs.
        exactly: also protect the last digits that no step function depends on.
    """
    sources = Provenance(graph, exactly=exactly)
    rules = [(node, _RULES[node.op]) for node in graph.skeleton.node if node.op in _RULES]
    barred = {node.name: sorted(set(rule(node, sources))) for node, rule in rules}
    if not any(barred.values()):
        return graph
    skeleton = without_nodes(graph.skeleton)
    for node in graph.skeleton.node:
        added = copy_of(node)
        for index in barred.get(node.name, ()):
            barrier = _barrier(node, index, sources)
            skeleton.node.extend(barrier)
            added.input[index] = barrier[-1].name
        skeleton.node.append(added)
    return FrozenGraph(skeleton, graph.weights)


def _barrier(reader: "NodeDef", index: int, sources: Provenance) -> "list[NodeDef]":
    """Return the nodes that make the barrier before an input. The last one is the new input."""
    name, source = sources.unused(f"{reader.name}/barrier_{index}"), reader.input[index]
    if reader.op == "LogicalNot":
        return [new(name, "LogicalAnd", [source, source])]
    dtype = reader.attr["T"].type
    if not sources.constant(source):
        return [new(name, "Maximum", [source, source], T=dtype)]
    # A barrier of the constant alone would be folded. max(c, min(x, c)) is c for every x.
    least = new(f"{name}/least", "Minimum", [reader.input[1 - index], source], T=dtype)
    return [least, new(name, "Maximum", [source, least.name], T=dtype)]


def _places(node: "NodeDef", sources: Provenance) -> Iterator[int]:
    """ArgMax(f(x)) becomes ArgMax(x), but f may map different numbers to equal ones."""
    inner = node.input[0]
    if not sources.constant(inner) and sources.made_from(inner, _MONOTONIC, _MOVED):
        yield 0


def _largest(node: "NodeDef", sources: Provenance) -> Iterator[int]:
    """Max(f(x)) becomes f(Max(x)), but f may not be defined for the other numbers."""
    inner, across = node.input[0], _MOVED | _MONOTONIC - _PARTIAL
    if not sources.constant(inner) and sources.made_from(inner, _PARTIAL, across):
        yield 0


def _sums(node: "NodeDef", sources: Provenance) -> Iterator[int]:
    """(x + a) - b becomes x + (a - b), and (x - y) + b becomes x + (b - y).

    So digits that the sum rounded away come back, or an exact result is rounded.
    """
    for index, constants in _chained(_SUMS, node, sources):
        values = [sources.value(each) for each in constants]
        if node.name in sources.exact or len(constants) == 1 or _cancel(values):
            yield index


def _products(node: "NodeDef", sources: Provenance) -> Iterator[int]:
    """(x * a) * b becomes x * (a * b), which is rounded once.

    So an intermediate result that overflowed its type does not overflow any more.
    """
    for index, constants in _chained(_PRODUCTS, node, sources):
        if node.name in sources.exact or len(constants) > 1:
            yield index


def _quotients(node: "NodeDef", sources: Provenance) -> Iterator[int]:
    """x / c becomes x * (1 / c), and x / sqrt(y) becomes x * rsqrt(y).

    In float32, for example, 41 * (1 / 41) is less than 1.
    """
    yield from _products(node, sources)
    divisor, dtype = node.input[1], node.attr["T"].type
    if dtype not in FLOATS or all(map(sources.constant, data_inputs(node))):
        return
    if sources.constant(divisor):
        value = sources.value(divisor)
        exact, fits = (False, True) if value is None else _reciprocal(value, FLOATS[dtype])
        if not fits or (not exact and node.name in sources.exact):
            yield 1
    elif sources.node(divisor).op == "Sqrt" and node.name in sources.exact:
        yield 1


def _reciprocal(value: np.ndarray, least: float) -> tuple[bool, bool]:
    """Whether the reciprocals of some numbers are exact, and the type can hold them."""
    sizes = np.abs(value[value != 0].astype(np.float64))  # any number divided by zero stays so
    powers_of_2 = bool((np.frexp(sizes)[0] == 0.5).all())
    return powers_of_2, bool(((sizes < 1 / least) & (sizes > least)).all())


def _chained(
    family: set[str], node: "NodeDef", sources: Provenance
) -> Iterator[tuple[int, list[str]]]:
    """Yield (index, constants) if one input is constant and an op of the family makes the other.

    The constants are the node's own, and those of the ops right before it that take one each.
    """
    if node.attr["T"].type not in FLOATS:
        return
    for index in (0, 1):
        own, other = node.input[1 - index], node.input[index]
        inner = _unsigned(other, sources)
        if inner.op not in family or not sources.constant(own) or sources.constant(other):
            continue
        constants = [own]
        while inner.op in family and len(constants) < _LONGEST:
            taken = [*filter(sources.constant, data_inputs(inner))]
            if len(taken) != 1:
                break
            constants += taken
            inner = _unsigned(
                next(each for each in data_inputs(inner) if each not in taken), sources
            )
        yield index, constants


def _unsigned(reference: str, sources: Provenance) -> "NodeDef":
    """Return the node that makes a tensor, seen through changes of sign."""
    node = sources.node(reference)
    while node.op == "Neg":
        node = sources.node(node.input[0])
    return node


def _cancel(values: list[np.ndarray | None]) -> bool:
    """Whether two constants large enough to round small numbers off nearly cancel, or may."""
    known = [np.abs(value) for value in values if value is not None]
    return len(known) < len(values) or any(
        bool((np.abs(first - second) * 64 < np.maximum(first, second) - _SMALL).any())
        for place, first in enumerate(known)
        for second in known[:place]
    )


def _leaky(node: "NodeDef", sources: Provenance) -> Iterator[int]:
    """Max(x, c * x) becomes LeakyRelu(x), which is equal only for c from 0 to 1."""
    for index in (0, 1):
        inner, other = sources.node(node.input[index]), sources.node(node.input[1 - index])
        makers = [sources.node(each).name for each in data_inputs(inner)]
        if inner.op in ("Add", "AddV2"):
            larger = makers == [other.name, other.name]
        elif inner.op in _PRODUCTS and other.name in makers:
            value = sources.value(inner.input[1 - makers.index(other.name)])
            larger = value is None or not _shrinks(value, divides=inner.op in _QUOTIENTS)
        else:
            larger = False
        if larger:
            yield index


def _shrinks(value: np.ndarray, *, divides: bool) -> bool:
    """Whether multiplication by a value, or division by it, scales by a factor from 0 to 1."""
    return bool(((value >= 1) if divides else (value >= 0) & (value <= 1)).all())


def _negated(node: "NodeDef", sources: Provenance) -> Iterator[int]:
    """Not(x < y) becomes x >= y, but for NaN the first is true and the second false."""
    inner = sources.node(node.input[0])
    if inner.op in COMPARISONS and inner.attr["T"].type in FLOATS:
        yield 0


_RULES: dict[str, Rule] = {
    **dict.fromkeys(("ArgMax", "ArgMin"), _places),
    **dict.fromkeys(("Max", "MaxPool", "MaxPool3D", "Min"), _largest),
    **dict.fromkeys(_SUMS, _sums),
    **dict.fromkeys(_QUOTIENTS, _quotients),
    "Mul": _products,
    "Maximum": _leaky,
    "LogicalNot": _negated,
}
"""Op → rule, which yields the inputs that need a barrier."""
