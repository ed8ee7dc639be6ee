"""The rules of retargeting: op → the function that rewrites it for a target without the op."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from graphcore.targets import Target
from tfgraph.graphs.shapes import Shapes

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


Rule: TypeAlias = Callable[["NodeDef", Shapes], "list[NodeDef] | None"]

RULES: dict[str, Rule] = {}
"""Op → rule."""

UNTIL: dict[str, Target] = {}
"""Op → the newest target that knows the op but not in every case, and so tries its rule first."""

UNFUSED: dict[str, Rule] = {}
"""Op → the rule that writes it in a form that no graph optimiser fuses with the op before."""


def rule(op: str, *, until: str = "") -> Callable[[Rule], Rule]:
    """Register the rule for an op. Targets up to `until` use it although they know the op."""

    def register(function: Rule) -> Rule:
        RULES[op] = function
        if until:
            UNTIL[op] = Target.named(until)
        return function

    return register


def unfused(op: str) -> Callable[[Rule], Rule]:
    """Register the rule that keeps an op from being fused."""

    def register(function: Rule) -> Rule:
        UNFUSED[op] = function
        return function

    return register
