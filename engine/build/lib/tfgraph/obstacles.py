"""What stands in the way of a conversion: nodes that cannot be converted, and why."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from graphcore.errors import ConversionError

RANDOM = (
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
)  # fmt: skip
"""Ops that draw numbers at random."""

NAMED = 10
"""How many nodes an error names; a table has them all."""


@dataclass(frozen=True)
class Obstacle:
    """One ONNX node that cannot be converted: `why`, and what would `help`.

    `op` has its domain if that is not ONNX's own, and is "input" or "output" for those of the
    model; `opset` is the version in which it is used.
    """

    node: str
    op: str
    opset: int
    why: str
    help: str

    def __str__(self) -> str:
        """Return one sentence."""
        joint = ". " if self.help[:1].isupper() else "; "
        called = f"ONNX node {self.node!r} ({self.op})"
        if self.op in ("input", "output"):
            called = f"The model's {self.op} {self.node!r}"
        return f"{called} {self.why}{joint}{self.help}"


class Refused(ConversionError):
    """Some nodes cannot be converted; `obstacles` has them all."""

    def __init__(self, obstacles: Iterable[Obstacle]) -> None:
        """Name the first ten."""
        self.obstacles = tuple(obstacles)
        count = len(self.obstacles)
        named = "; ".join(str(each).rstrip(".") for each in self.obstacles[:NAMED])
        begin = "" if count == 1 else f"{count} ONNX nodes cannot be converted: "
        more = f"; and {count - NAMED} more" if count > NAMED else ""
        super().__init__(f"{begin}{named}{more}.")


def parted(reason: str) -> tuple[str, str]:
    """Return the two halves of a handler's reason: why it refuses, and what would help."""
    why, help_ = [*re.split(r"[;.]\s+", reason, maxsplit=1), ""][:2]
    return why.rstrip("."), help_ or (
        "correct the node with onnxgraph.set_attributes, or the program that wrote it."
    )
