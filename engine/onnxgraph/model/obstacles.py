"""Obstacles: the nodes that prevent a piece of work, and the reasons."""

from dataclasses import dataclass

import onnx

from onnxgraph.model.nodes import node_name, op_name


@dataclass(frozen=True)
class Obstacle:
    """One ONNX node that cannot be handled: `why`, and what would `help`.

    `op` includes the domain if that is not ONNX's own, and is "input" or "output" for those of the
    model. `opset` is the version in which the op is used, or 0 where that does not matter.
    """

    node: str
    op: str
    opset: int
    why: str
    help: str = ""

    @classmethod
    def of(cls, node: onnx.NodeProto, why: str) -> "Obstacle":
        """Return the obstacle for a node at any opset."""
        return cls(node_name(node), op_name(node), 0, why)

    @property
    def title(self) -> str:
        """The node in the words of a message, such as `Conv 'conv1'`."""
        return f"{self.op} {self.node!r}"

    @property
    def reason(self) -> str:
        """The reason and what would help, in words that follow the node's name."""
        joint = ". " if self.help[:1].isupper() else "; "
        return joint.join(filter(None, [self.why, self.help]))

    def __str__(self) -> str:
        """Return one sentence without its full stop."""
        called = f"ONNX node {self.node!r} ({self.op})"
        if self.op in ("input", "output"):
            called = f"The model's {self.op} {self.node!r}"
        return f"{called} {self.reason}"
