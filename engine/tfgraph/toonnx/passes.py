"""tf2onnx's own passes over its result, without those effects that are random or inexact."""

from typing import Any

import numpy as np
import onnx

from tfgraph.toonnx.name_prefix import NUMBERS

_KEPT = "KeptCast"
"""The op that replaces a Cast while a pass must not see it."""


def optimizers() -> dict[str, Any]:
    """Return tf2onnx's optimizers by name, two of them changed."""
    from tf2onnx import optimizer

    changed = {"merge_duplication": _ordered(), "remove_back_to_back": _exact()}
    return {**optimizer._get_optimizers(), **changed}


def _ordered() -> type:
    """Return the pass that merges equal nodes, changed to keep the first one by name.

    The original keeps a random one, so the same graph would not always give the same file.
    """
    from tf2onnx.optimizer.merge_duplicated_nodes_optimizer import MergeDuplicatedNodesOptimizer

    class Ordered(MergeDuplicatedNodesOptimizer):
        @staticmethod
        def _group_nodes_by_type_inputs(graph: Any) -> dict[Any, list[Any]]:
            groups = MergeDuplicatedNodesOptimizer._group_nodes_by_type_inputs(graph)
            return {
                key: sorted(nodes, key=lambda node: (NUMBERS.sub("", node.name), node.name))
                for key, nodes in groups.items()
            }

    return Ordered


def _exact() -> type:
    """Return the pass that removes nodes undone by the next one, except Casts that lose digits."""
    from tf2onnx.optimizer.back_to_back_optimizer import BackToBackOptimizer

    class Exact(BackToBackOptimizer):
        def _optimize_at_current_graph_level(self, g: Any) -> Any:
            hidden = [n for n in g.get_nodes() if n.type == "Cast" and not _holds(g, n)]
            for node in hidden:
                node.type = _KEPT
            try:
                return super()._optimize_at_current_graph_level(g)
            finally:
                for node in hidden:
                    node.type = "Cast"

    return Exact


def _holds(graph: Any, cast: Any) -> bool:
    """Whether a Cast's dtype can represent every number of its input's dtype."""
    known = graph.get_dtype(cast.input[0])
    if known is None or onnx.TensorProto.STRING in (known, cast.get_attr("to").i):
        return False
    source, target = map(onnx.helper.tensor_dtype_to_np_dtype, (known, cast.get_attr("to").i))
    rounded = source.kind in "iu" and source.itemsize == 8 and target.kind == "f"
    return bool(np.can_cast(source, target, "safe")) and not rounded
