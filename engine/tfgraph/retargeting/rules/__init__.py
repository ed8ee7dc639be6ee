"""Rules that rewrite newer TensorFlow ops into older ones, one exact rule per op.

A rule takes a node, with every attribute written out, and the graph's static shapes. It returns the
nodes that replace the node, the last one under the same name, or None where the rule is not exact.
"""

from tfgraph.graphs.shapes import Shapes
from tfgraph.retargeting.rules import (
    detection,
    elementwise,
    indexing,
    products,
    spatial,
    special_values,
    unfused,
)
from tfgraph.retargeting.rules.registry import RULES, UNFUSED, UNTIL

__all__ = [
    "RULES",
    "UNFUSED",
    "UNTIL",
    "Shapes",
    "detection",
    "elementwise",
    "indexing",
    "products",
    "spatial",
    "special_values",
    "unfused",
]
