"""A graph written again while its tensors are followed at the file's size and at two others."""

import onnx

from onnxgraph.sizing.watched_graph import Draft


class Followed(Draft):
    """A draft followed at the size of the file and at two others."""

    def static(self, name: str) -> tuple[int | None, ...]:
        """Return a tensor's dims at the size of the file, or no dims if they are not known."""
        return self.at[0].shape(name) or ()

    def follows(self, name: str) -> list[bool | None] | None:
        """Return for each axis whether it depends on the sizes, or None where that is not known."""
        shapes = [sizes.shape(name) for sizes in self.at]
        known = [shape for shape in shapes if shape is not None]
        if len(known) < len(shapes) or len({len(shape) for shape in known}) > 1:
            return None
        return [None if None in dims else len(set(dims)) > 1 for dims in zip(*known, strict=True)]

    def moving_sizes(self, name: str) -> list[int]:
        """Return the sizes, in the file, of the axes of a tensor that follow."""
        follows = self.follows(name) or ()
        return [d for d, moves in zip(self.static(name), follows, strict=False) if moves and d]

    def moving(self, node: onnx.NodeProto) -> list[bool]:
        """Return for each axis of a node's first input whether it follows."""
        first = node.input[0] if node.input else ""
        return [each is True for each in self.follows(first) or ()]
