"""The rules of retargeting: op → what writes it for a target that lacks it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from tfgraph.graphs.shapes import Shapes

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


Rule: TypeAlias = Callable[["NodeDef", Shapes], "list[NodeDef] | None"]

RULES: dict[str, Rule] = {}
"""Op → rule."""

UNTIL: dict[str, str] = {}
"""Op → the newest target that knows the op but not for every shape, and so asks its rule first."""

UNFUSED: dict[str, Rule] = {}
"""Op → the rule that writes it in a form which no graph optimiser fuses with what is before it."""


def rule(op: str, *, until: str = "") -> Callable[[Rule], Rule]:
    """Register the rule for an op; targets up to `until` ask it though they know the op."""

    def register(function: Rule) -> Rule:
        RULES[op] = function
        if until:
            UNTIL[op] = until
        return function

    return register


def unfused(op: str) -> Callable[[Rule], Rule]:
    """Register the rule that keeps an op from being fused."""

    def register(function: Rule) -> Rule:
        UNFUSED[op] = function
        return function

    return register
