"""One rule for each op and version whose meaning or form changed: (op, version) → rule.

A rule sees a node written in opset `version` and emits nodes that are valid in the one before.
"""

from collections.abc import Callable

from onnxgraph.lowering.node_rewriter import NodeRewriter
from onnxgraph.lowering.rules import (
    activations,
    axes,
    einsum,
    fourier,
    grid,
    indexing,
    layers,
    norms,
    resize,
    rotary,
    shapes,
    types,
)

RULES: dict[tuple[str, int], Callable[[NodeRewriter], None]] = {
    **activations.RULES,
    **axes.RULES,
    **einsum.RULES,
    **fourier.RULES,
    **grid.RULES,
    **indexing.RULES,
    **layers.RULES,
    **norms.RULES,
    **resize.RULES,
    **rotary.RULES,
    **shapes.RULES,
    **types.RULES,
}
