"""Rules for elementwise ops."""

from typing import TYPE_CHECKING

import numpy as np

from nbhelpers.convert.rules.rewriting import Shapes, const, like, new, rule

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


@rule("AddV2")
def add_v2(node: "NodeDef", shapes: Shapes) -> list["NodeDef"]:
    """Add: the same but for strings and for how gradients are grouped."""
    return [like(node, "Add", "T")]


@rule("SelectV2")
def select_v2(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Select, where nothing is broadcast."""
    first, *others = [shapes.of(source) for source in node.input]
    if first is None or None in first or any(shape != first for shape in others):
        return None
    return [like(node, "Select", "T")]


@rule("LeakyRelu")
def leaky_relu(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """max(x, αx), which is the same for 0 ≤ α ≤ 1."""
    alpha, source = node.attr["alpha"].f, node.input[0]
    if not 0 <= alpha <= 1:
        return None
    dtype = node.attr["T"].type
    scale = const(f"{node.name}/alpha", np.array(alpha), dtype)
    scaled = new(f"{node.name}/scaled", "Mul", [source, scale.name], T=dtype)
    return [scale, scaled, new(node.name, "Maximum", [source, scaled.name], T=dtype)]
