"""What stands in the way of a conversion: nodes that cannot be converted, and why."""

import re
from collections.abc import Iterable

from graphcore.errors import ConversionError
from graphcore.listing import listed
from onnxgraph.model.obstacles import Obstacle

NAMED = 10
"""How many nodes an error names; a table has them all."""


class Unconvertible(ConversionError):
    """Some nodes cannot be converted; `obstacles` has them all."""

    def __init__(self, obstacles: Iterable[Obstacle]) -> None:
        """Name the first ten."""
        self.obstacles = tuple(obstacles)
        count = len(self.obstacles)
        sentences = (str(each).rstrip(".") for each in self.obstacles)
        begin = "" if count == 1 else f"{count} ONNX nodes cannot be converted: "
        super().__init__(f"{begin}{listed(sentences, most=NAMED, separator='; ')}.")


def split_reason(reason: str) -> tuple[str, str]:
    """Return the two halves of a handler's reason: why it refuses, and what would help."""
    why, help_ = [*re.split(r"[;.]\s+", reason, maxsplit=1), ""][:2]
    return why.rstrip("."), help_ or (
        "correct the node with onnxgraph.set_attributes, or the program that wrote it."
    )
