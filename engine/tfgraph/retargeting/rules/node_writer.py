"""Write several nodes in place of one, with names below the replaced node's."""

from typing import TYPE_CHECKING

import numpy as np

from tfgraph.graphs.node_defs import const, new

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

FLOAT, DOUBLE, INT32, INT64, BOOL, HALF = 1, 2, 3, 9, 10, 19
"""TensorFlow's numbers for these types."""

_INDEX_TYPES = {
    "ConcatV2": "Tidx",
    "Cumprod": "Tidx",
    "ExpandDims": "Tdim",
    "Gather": "Tindices",
    "PadV2": "Tpaddings",
    "Prod": "Tidx",
    "Range": "Tidx",
    "Reshape": "Tshape",
    "Slice": "Index",
    "Sum": "Tidx",
    "Tile": "Tmultiples",
    "Transpose": "Tperm",
}
"""Ops and the attribute with the type of their sizes, axes or positions, here always int32."""


class Writer:
    """The nodes that replace one node."""

    def __init__(self, node: "NodeDef") -> None:
        self.node = node
        self.nodes: list[NodeDef] = []

    def const(self, role: str, value: object, dtype: int = INT32) -> str:
        """Add a constant and return its name."""
        self.nodes.append(const(f"{self.node.name}/{role}", np.array(value), dtype))
        return self.nodes[-1].name

    def add(self, role: str, op: str, *inputs: str, **types: int) -> str:
        """Add a node, with its type attributes, and return its name."""
        name = f"{self.node.name}/{role}" if role else self.node.name
        node = new(name, op, list(inputs), **types)
        if op in _INDEX_TYPES and _INDEX_TYPES[op] not in types:
            node.attr[_INDEX_TYPES[op]].type = INT32
        if op == "ConcatV2":
            node.attr["N"].i = len(inputs) - 1
        self.nodes.append(node)
        return name

    def last(self, op: str, *inputs: str, **types: int) -> "list[NodeDef]":
        """Add the node that has the replaced node's name, and return all nodes."""
        self.add("", op, *inputs, **types)
        return self.nodes

    def shape(self, role: str, source: str, dtype: int) -> str:
        """Add a node that returns the shape of a tensor of a type."""
        return self.add(role, "Shape", source, T=dtype, out_type=INT32)

    def part(self, role: str, vector: str, begin: int, size: int) -> str:
        """Add a slice of `size` elements of an int32 vector, or of all that follow for -1."""
        limits = [self.const(f"{role}_{k}", [v]) for k, v in (("begin", begin), ("size", size))]
        return self.add(role, "Slice", vector, *limits, T=INT32)

    def joined(self, role: str, *vectors: str) -> str:
        """Add the concatenation of int32 vectors."""
        return self.add(role, "ConcatV2", *vectors, self.const(f"{role}_axis", 0), T=INT32)
