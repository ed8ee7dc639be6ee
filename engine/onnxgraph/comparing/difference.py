"""The result of a search for the first difference: a tensor, the nodes that make it, the proof."""

import html
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from onnxgraph.comparing.one_tensor import Layer


@dataclass(frozen=True)
class Difference:
    """Where two sources start to differ.

    `layer` is the first tensor that differs. `nodes` are the ONNX nodes between it and the nearest
    tensors that agree (`inputs`). `alone` compares the same tensor when only these nodes run, on
    the reference's inputs. It is None if neither side can be fed. `healed` tells whether all
    outputs agree once the reference's value replaces the tensor. It is None if that could not be
    tried.
    """

    layer: Layer
    nodes: tuple[str, ...]
    inputs: tuple[Layer, ...]
    output: Layer
    alone: Layer | None
    healed: bool | None
    title: str
    runs: int
    feeds: Mapping[str, np.ndarray] = field(repr=False, compare=False)
    expected: np.ndarray = field(repr=False, compare=False)
    seen: np.ndarray = field(repr=False, compare=False)

    @property
    def confirmed(self) -> bool:
        """Whether these nodes are wrong by themselves."""
        return self.alone is not None and self.alone.differs

    def __repr__(self) -> str:
        """Return what was found and how it was tried, one fact per line."""
        tensor = self.layer
        what = f"{tensor.op} {tensor.node}".strip()
        lines = [f"{self.title}: {tensor.name!r} ({what}) is the first tensor that differs"]
        lines.append(f"  tensor   {tensor!r}")
        lines += [f"  input    {layer!r}" for layer in self.inputs]
        if len(self.nodes) > 1:
            lines.append(f"  between  {', '.join(self.nodes)}")
        lines.append(f"  alone    {self._verdict()}")
        if self.healed is not None:
            rest = "every output agrees" if self.healed else "outputs still differ, so look again"
            lines.append(f"  healed   with the reference's value in its place, {rest}")
        lines.append(f"  seen in  output {self.output.name!r}, {self.runs} runs of each side")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"

    def _verdict(self) -> str:
        if self.alone is None:
            return "not tried: neither side can be fed with inner tensors"
        if self.alone.differs:
            return f"fed with the reference's inputs it still differs: {self.alone.row.note}"
        return (
            f"fed with the reference's inputs it agrees ({self.alone.row.relative:.1e}): no op is "
            "wrong by itself, and rounding grew until here"
        )
