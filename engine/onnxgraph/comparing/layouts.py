"""Axes: where TensorFlow stores an ONNX tensor with the channels last, and how to convert it back.

A layout tells how the other tensor's axes are ordered: "as is", or "0,2,3,1" for channels last.
"""

from collections.abc import Iterator

import numpy as np

AS_IS = "as is"


def layouts(onnx_shape: tuple[int, ...], shape: tuple[int, ...]) -> Iterator[str]:
    """Yield the layouts in which a tensor of `onnx_shape` could have `shape`."""
    if onnx_shape == shape:
        yield AS_IS
    rank = len(onnx_shape)
    if rank >= 3 and shape == (onnx_shape[0], *onnx_shape[2:], onnx_shape[1]):
        yield channels_last(rank)


def channels_last(rank: int) -> str:
    """Return the layout with the second axis moved to the end."""
    return ",".join(map(str, [0, *range(2, rank), 1]))


def to_onnx(value: np.ndarray, layout: str) -> np.ndarray:
    """Return an array in `layout` with its axes in ONNX's order."""
    return value if layout == AS_IS else value.transpose(np.argsort(_axes(layout)))


def from_onnx(value: np.ndarray, layout: str) -> np.ndarray:
    """Return an array in ONNX's order with its axes in the order of `layout`."""
    return value if layout == AS_IS else value.transpose(_axes(layout))


def _axes(layout: str) -> list[int]:
    return [int(axis) for axis in layout.split(",")]
