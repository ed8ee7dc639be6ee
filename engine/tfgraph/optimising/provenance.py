"""Where the tensors of a graph come from, and for which of them the last digit counts."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tfgraph.graphs.frozen import FrozenGraph, computed_from_constants
from tfgraph.graphs.order import maker
from tfgraph.graphs.shapes import Shapes

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

FLOATS = {1: 2.0**-126, 2: 2.0**-1022, 14: 2.0**-126, 19: 2.0**-14}
"""TensorFlow's numbers for float32, float64, bfloat16 and float16, and their least normal value."""

_WHOLE = {3, 4, 5, 6, 9, 10, 17, 22, 23}
"""TensorFlow's numbers for integers and booleans."""

COMPARISONS = {"Less", "LessEqual", "Greater", "GreaterEqual"}
_STEPS = COMPARISONS | {
    "ArgMax", "ArgMin", "Ceil", "Equal", "Floor", "FloorMod", "Mod", "NonMaxSuppressionV3",
    "NotEqual", "Rint", "Round", "Sign", "TopKV2", "TruncateMod",
}  # fmt: skip
"""Step functions: the last digit of their input may decide their result."""

_MIXING = {
    "AvgPool", "AvgPool3D", "BatchMatMul", "BatchMatMulV2", "Conv2D", "Conv2DBackpropInput",
    "Conv3D", "Conv3DBackpropInputV2", "CropAndResize", "DepthwiseConv2dNative", "MatMul", "Mean",
    "ResizeBicubic", "ResizeBilinear", "Softmax", "Sum",
}  # fmt: skip
"""Ops that add up many numbers, so that the last digits of the result mean nothing."""


class Provenance:
    """The nodes of a graph by name, seen through the ops that pass a tensor on."""

    def __init__(self, graph: FrozenGraph, *, exactly: bool = False) -> None:
        """Take a graph. With `exactly` the last digit counts everywhere."""
        self._exactly = exactly
        self._nodes = {node.name: node for node in graph.skeleton.node}
        self._constants = computed_from_constants(graph.skeleton, graph.weights)
        self._shapes = Shapes(graph)

    def node(self, reference: str) -> "NodeDef":
        """Return the node that makes a tensor."""
        node = self._nodes[maker(reference)]
        while node.op == "Identity":
            node = self._nodes[maker(node.input[0])]
        return node

    def made_from(self, reference: str, wanted: set[str], across: set[str]) -> bool:
        """Whether a wanted op makes a tensor, directly or through the ops `across`."""
        seen: set[str] = set()
        waiting = [reference]
        while waiting:
            node = self.node(waiting.pop())
            if node.op in wanted:
                return True
            if node.op in across and node.name not in seen:
                seen.add(node.name)
                waiting += data_inputs(node)
        return False

    def constant(self, reference: str) -> bool:
        """Whether a tensor depends on constants alone."""
        return maker(reference) in self._constants

    def value(self, reference: str) -> np.ndarray | None:
        """Return a tensor's value if it is a constant itself, not computed from constants."""
        return self._shapes.constant(self.node(reference).name)

    def unused(self, name: str) -> str:
        """Return a name that no node has, neither as it is nor with "/least" after it."""
        while name in self._nodes or f"{name}/least" in self._nodes:
            name += "_"
        return name

    @cached_property
    def exact(self) -> set[str]:
        """The nodes whose rounding may decide the result of a step function further down."""
        if self._exactly:
            return set(self._nodes)
        steps = (n for n in self._nodes.values() if n.op in _STEPS or _to_integers(n))
        waiting = [maker(source) for node in steps for source in node.input]
        found: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                node = self._nodes[name]
                waiting += [] if node.op in _MIXING else map(maker, node.input)
        return found


def data_inputs(node: "NodeDef") -> list[str]:
    """Return the inputs of a node that are tensors."""
    return [source for source in node.input if not source.startswith("^")]


def _to_integers(node: "NodeDef") -> bool:
    if node.op != "Cast":
        return False
    return node.attr["SrcT"].type in FLOATS and node.attr["DstT"].type in _WHOLE
