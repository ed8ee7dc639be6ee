"""Newer TensorFlow ops in older terms, one exact rule an op.

A rule takes a node (every attribute written out) and the graph's static shapes, and returns the
nodes that replace it, the last one under the same name; or None where it is not exact for this one.
"""

from tfgraph.graphs.shapes import Shapes
from tfgraph.retargeting.rules import (
    detection,
    elementwise,
    indexing,
    layers,
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
    "layers",
    "spatial",
    "special_values",
    "unfused",
]
