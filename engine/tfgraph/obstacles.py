"""The error for nodes that cannot be converted, which names each one and the reason."""

import re
from collections.abc import Iterable

from graphcore.enumeration import listed
from graphcore.errors import ConversionError
from onnxgraph.model.obstacles import Obstacle

NAMED = 10
"""How many nodes an error names. The table of a preflight lists them all."""


class Unconvertible(ConversionError):
    """Some nodes cannot be converted. `obstacles` lists them all."""

    def __init__(self, obstacles: Iterable[Obstacle]) -> None:
        """Name the first ten of them."""
        self.obstacles = tuple(obstacles)
        count = len(self.obstacles)
        sentences = (str(each).rstrip(".") for each in self.obstacles)
        begin = "" if count == 1 else f"{count} ONNX nodes cannot be converted: "
        super().__init__(f"{begin}{listed(sentences, most=NAMED, separator='; ')}.")


def split_reason(reason: str) -> tuple[str, str]:
    """Return the two parts of a handler's reason: why it refuses, and what would help."""
    why, help_ = [*re.split(r"[;.]\s+", reason, maxsplit=1), ""][:2]
    return why.rstrip("."), help_ or (
        "correct the node with onnxgraph.set_attributes, or the program that wrote it."
    )
