"""One ONNX tensor in two sources, compared in every layout in which the two could be equal."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from graphcore import parity
from onnxgraph.comparing.layouts import AS_IS, channels_last, to_onnx
from onnxgraph.comparing.sources import Source

NO_EFFECT = "no effect"
"""Status of a tensor that differs although everything computed from it agrees."""


@dataclass(frozen=True)
class Layer:
    """One ONNX tensor in both sources.

    `row` is the comparison. `layouts` and `called` are the axes and the names in the reference and
    in the judged source. `not_finite` counts NaN and infinite values there.
    """

    name: str
    op: str
    node: str
    shape: tuple[int, ...]
    row: parity.Row
    layouts: tuple[str, str] = (AS_IS, AS_IS)
    called: tuple[str, str] = ("", "")
    not_finite: tuple[int, int] = (0, 0)

    @property
    def status(self) -> str:
        """ "ok", "no effect", or what is wrong: "mismatch", "nan", "shape" or "dtype"."""
        return self.row.status

    @property
    def differs(self) -> bool:
        """Whether the tensor differs, and tensors computed from it too."""
        return self.status not in ("ok", NO_EFFECT)

    def __repr__(self) -> str:
        """Return one line: status, differences, tensor, op."""
        notes = [self.row.note]
        if any(self.not_finite):
            notes.append("not finite: {} in the reference, {} here".format(*self.not_finite))
        for layout, where in zip(self.layouts, ("in the reference", "here"), strict=True):
            if layout != AS_IS:
                notes.append(f"channels are last {where} (indices are ONNX's)")
        said = "; ".join(filter(None, notes))
        numbers = f"{self.row.largest_difference:9.2e} ({self.row.relative:8.1e} of largest)"
        if math.isnan(self.row.largest_difference):
            numbers = "no numbers"  # another shape or dtype, or not finite
        return f"{self.status:<9} {numbers:<31}  {self.name}  {self.op}  {said}".rstrip()


def judge(
    name: str,
    expected: np.ndarray,
    seen: np.ndarray,
    sources: tuple[Source, Source],
    tolerance: float,
) -> Layer:
    """Compare one tensor in every layout in which the two could be equal, and take the best one."""
    best: Layer | None = None
    for left, right in _pairs(expected, seen, sources):
        mine, theirs = to_onnx(expected, left), to_onnx(seen, right)
        row = parity.compare({name: mine}, {name: theirs}, tolerance=tolerance).rows[0]
        called = (sources[0].called(name), sources[1].called(name))
        count = (_not_finite(expected), _not_finite(seen))
        layer = Layer(name, "", "", mine.shape, row, (left, right), called, count)
        if best is None or badness(layer) > badness(best):
            best = layer
        if row.status == "ok":
            break
    assert best is not None  # the pair "as is" is always tried
    return best


def _pairs(
    expected: np.ndarray, seen: np.ndarray, sources: tuple[Source, Source]
) -> Iterator[tuple[str, str]]:
    """Yield pairs of layouts with equal shapes, or "as is" twice if there are none."""
    options = []
    for value, source in zip((expected, seen), sources, strict=True):
        free = source.free_layout and value.ndim >= 3
        options.append([AS_IS, channels_last(value.ndim)] if free else [AS_IS])
    fitting = [
        (left, right)
        for left in options[0]
        for right in options[1]
        if to_onnx(expected, left).shape == to_onnx(seen, right).shape
    ]
    yield from fitting or [(AS_IS, AS_IS)]


def without_effect(layer: Layer) -> Layer:
    """Return the layer, marked as one whose difference reaches no other tensor."""
    note = f"{layer.row.note}, but everything computed from it agrees".removeprefix(", but ")
    return replace(layer, row=replace(layer.row, status=NO_EFFECT, note=note))


def badness(layer: Layer) -> tuple[int, float]:
    """Return the sort key of layers, the worst first."""
    severity = ("shape", "dtype", "nan", "mismatch", NO_EFFECT, "ok").index(layer.status)
    relative = layer.row.relative
    return severity, -(math.inf if math.isnan(relative) else relative)


def _not_finite(value: np.ndarray) -> int:
    return int((~np.isfinite(value)).sum()) if value.dtype.kind in "fc" else 0
